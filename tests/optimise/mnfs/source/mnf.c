MNF(struct pkt *pkt)
{
	struct ip_addr addr = cfg.addr;

	set_ip_src(pkt, &addr);
	return NEXT;
}
