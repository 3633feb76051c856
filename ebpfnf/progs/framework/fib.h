/* The kernel's routes and neighbours. */
#ifndef EBPFNF_FIB_H
#define EBPFNF_FIB_H

struct hop {
	struct mac_addr dst;
	struct mac_addr src;
	u8 port;
};

_Static_assert(sizeof(struct bpf_fib_lookup) == 64, "the slot must hold it");

enum { FIB_FOUND, FIB_NO_ROUTE, FIB_KERNEL };

/* The kernel answers "not forwarded" alike for a local address and for no route at all: both are its own business then (FIB_KERNEL),
 * and it answers as a router must. FIB_NO_ROUTE is what an administrator closed: blackhole, unreachable, prohibit. */
inline_always u32 fib_lookup(struct pkt *pkt, struct hop *hop)
{
	struct bpf_fib_lookup *fib = (void *)pkt->slot->fib;
	long answer;

	if (!(pkt->m.have & HAVE_IP))
		return FIB_KERNEL;
	__builtin_memset(fib, 0, sizeof(*fib));
	fib->ifindex = HOST->ports[pkt->m.in_port & 15].ifindex;
	fib->tot_len = get_ip_len(pkt);
	fib->l4_protocol = pkt->flow.proto;
	fib->sport = pkt->flow.sport;
	fib->dport = pkt->flow.dport;
	if (pkt->m.ip_version == 4) {
		fib->family = 2;		/* AF_INET */
		fib->ipv4_src = pkt->flow.saddr.w[3];
		fib->ipv4_dst = pkt->flow.daddr.w[3];
	} else {
		fib->family = 10;	/* AF_INET6 */
		__builtin_memcpy(fib->ipv6_src, &pkt->flow.saddr, 16);
		__builtin_memcpy(fib->ipv6_dst, &pkt->flow.daddr, 16);
	}
	answer = bpf_fib_lookup(pkt->ctx, fib, sizeof(*fib), 0);
	if (answer == BPF_FIB_LKUP_RET_BLACKHOLE || answer == BPF_FIB_LKUP_RET_UNREACHABLE || answer == BPF_FIB_LKUP_RET_PROHIBIT)
		return FIB_NO_ROUTE;
	if (answer != BPF_FIB_LKUP_RET_SUCCESS)
		return FIB_KERNEL;
	for (u32 port = 1; port <= PORTS; port++) {
		if (HOST->ports[port].ifindex != fib->ifindex)
			continue;
		__builtin_memcpy(hop->dst.b, fib->dmac, 6);
		__builtin_memcpy(hop->src.b, fib->smac, 6);
		hop->port = port;
		return FIB_FOUND;
	}
	return FIB_KERNEL;
}

#endif
