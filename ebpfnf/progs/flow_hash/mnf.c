/* One number for the five-tuple: what comes later picks by it. */

MNF(struct pkt *pkt)
{
	pkt->m.hash = flow_hash(&pkt->flow);
	return NEXT;
}
