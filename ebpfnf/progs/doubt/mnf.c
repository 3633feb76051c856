MNF(struct pkt *pkt)
{
	pkt->m.doubt = cfg.value;
	return NEXT;
}
