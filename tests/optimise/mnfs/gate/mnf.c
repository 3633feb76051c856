MNF(struct pkt *pkt)
{
	if (pkt->m.class < cfg.low)
		return DROP(low);
	return pkt->m.class > cfg.high ? TO(high) : NEXT;
}
