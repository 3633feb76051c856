MNF(struct pkt *pkt)
{
	set_ip_dscp(pkt, cfg.dscp & 63);
	return NEXT;
}
