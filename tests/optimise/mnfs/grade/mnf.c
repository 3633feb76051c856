MNF(struct pkt *pkt)
{
	pkt->m.class = get_pkt_len(pkt) >> 6;
	return NEXT;
}
