MNF(struct pkt *pkt)
{
	return get_pkt_len(pkt) > 64 ? TO(long) : NEXT;
}
