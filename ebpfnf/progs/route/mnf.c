/* Asks the kernel's routing table. Before TTL or MACs change: what goes to the kernel must arrive as it came. */

/* Multicast, broadcast and link-local: routes that lead there are not for forwarding. */
static inline int LOCAL(stays)(const struct ip_addr *ip, u8 version)
{
	return version == 4 ? ip->b[12] >= 224 : ip->b[0] == 0xff || (ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80);
}

MNF(struct pkt *pkt)
{
	u8 version = pkt->m.ip_version;
	struct hop hop = {};

	if (get_ip_ttl(pkt) <= 1)
		return PASS; /* the kernel answers with ICMP time exceeded, or takes it as its own */
	if (LOCAL(stays)(&pkt->flow.saddr, version) || LOCAL(stays)(&pkt->flow.daddr, version))
		return PASS;

	switch (fib_lookup(pkt, &hop)) {
	case FIB_KERNEL:
		return PASS;
	case FIB_NO_ROUTE:
		return DROP(no_route);
	}
	pkt->m.fwd_port = hop.port;
	pkt->m.nh_dst = hop.dst;
	pkt->m.nh_src = hop.src;
	return NEXT;
}
