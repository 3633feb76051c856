/* Counts a packet for the subnet at our end: where it goes to on the way in, where it comes from on the way out. */

MNF(struct pkt *pkt)
{
	const struct ip_addr *ours = pkt->m.dir == FORWARD ? &pkt->flow.daddr : &pkt->flow.saddr;
	u32 *subnet = pkt->m.have & HAVE_IP ? subnets_lookup(ours) : 0;

	if (subnet)
		counts_add(*subnet, &(struct counts_value){ .packets = 1, .bytes = get_pkt_len(pkt) });
	return NEXT;
}
