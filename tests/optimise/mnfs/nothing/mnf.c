MNF(struct pkt *pkt)
{
	return NEXT;
}
