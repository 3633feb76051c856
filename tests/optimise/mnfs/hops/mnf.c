MNF(struct pkt *pkt)
{
	set_ip_ttl(pkt, cfg.ttl);
	return NEXT;
}
