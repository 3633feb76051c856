/* Asks the kernel's routing table. Before TTL or MACs change: what goes to the kernel must arrive as it came. */

MNF(struct pkt *pkt)
{
	struct hop hop = {};

	if (get_ip_ttl(pkt) <= 1)
		return PASS; /* the kernel answers with ICMP time exceeded, or takes it as its own */

	int found = fib_lookup(pkt, &hop);
	if (found == FIB_KERNEL)
		return PASS;
	if (found == FIB_NO_ROUTE)
		return DROP(no_route);

	pkt->m.fwd_port = hop.port;
	pkt->m.nh_dst = hop.dst;
	pkt->m.nh_src = hop.src;
	return NEXT;
}
