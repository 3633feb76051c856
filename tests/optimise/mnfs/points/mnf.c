MNF(struct pkt *pkt)
{
	pkt->m.points.sum += get_ip_ttl(pkt);
	return pkt->m.points.sum >= cfg.limit ? DROP(enough) : NEXT;
}
