/* The frame goes from our port to the next hop. */

MNF(struct pkt *pkt)
{
	set_eth_dst(pkt, &pkt->m.nh_dst);
	set_eth_src(pkt, &pkt->m.nh_src);
	return NEXT;
}
