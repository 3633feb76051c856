MNF(struct pkt *pkt)
{
	return get_ip_proto(pkt) == cfg.proto ? TX : NEXT;
}
