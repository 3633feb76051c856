/* Walks the headers once, for the whole deployment. */
#ifndef EBPFNF_PARSE_H
#define EBPFNF_PARSE_H

enum parsed { PARSED, PARSED_MALFORMED, PARSED_CONTROL };

#define ETHERTYPE_IP 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8
#define ETHERTYPE_CONTROL 0x88b5	/* ours, between unikernels and the host; never from outside */

#define IPV6_EXTENSIONS 6

struct eth_header { u8 dst[6]; u8 src[6]; be16 type; };
struct vlan_tag { be16 tci; be16 type; };
struct ipv4_header { u8 version_ihl; u8 tos; be16 length; be16 id; be16 fragment; u8 ttl; u8 proto; be16 check; be32 src; be32 dst; };
struct ipv6_header { be32 version_class_label; be16 length; u8 next; u8 hops; be32 src[4]; be32 dst[4]; };
struct ipv6_extension { u8 next; u8 length; be16 fragment; be32 id; };
struct tcp_header { be16 sport; be16 dport; be32 seq; be32 ack; u8 offset; u8 flags; be16 window; be16 check; be16 urgent; };
struct udp_header { be16 sport; be16 dport; be16 length; be16 check; };

/* Where the L4 header is, and where the L3 payload ends: by the IP header, not by the frame, which may be padded. */
struct payload {
	u64 at;
	u64 end;
};

inline_always enum parsed parse_ipv4(struct pkt *pkt, u64 at, struct payload *payload)
{
	struct ipv4_header *ip = bytes_at(pkt, at, sizeof(*ip));
	struct md *m = &pkt->m;
	u64 size, length;

	if (!ip || ip->version_ihl >> 4 != 4)
		return PARSED_MALFORMED;
	size = (ip->version_ihl & 15) * 4;
	length = bpf_ntohs(ip->length);
	if (size < sizeof(*ip) || length < size || at + length > m->len)
		return PARSED_MALFORMED;

	m->ip_version = 4;
	m->have |= HAVE_IP;
	m->l3 = at;
	pkt->flow.saddr.w[2] = bpf_htonl(0xffff);
	pkt->flow.saddr.w[3] = ip->src;
	pkt->flow.daddr.w[2] = bpf_htonl(0xffff);
	pkt->flow.daddr.w[3] = ip->dst;
	pkt->flow.proto = ip->proto;
	if (ip->fragment & bpf_htons(0x3fff)) {
		m->frag = 1;
		m->have |= HAVE_FRAG;
	}
	payload->at = at + size;
	payload->end = at + length;
	return PARSED;
}

inline_always enum parsed parse_ipv6(struct pkt *pkt, u64 at, struct payload *payload)
{
	struct ipv6_header *ip = bytes_at(pkt, at, sizeof(*ip));
	struct md *m = &pkt->m;
	u64 end;
	u8 next;

	if (!ip || (ip->version_class_label & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000))
		return PARSED_MALFORMED;
	end = at + sizeof(*ip) + bpf_ntohs(ip->length);
	if (end > m->len)
		return PARSED_MALFORMED;

	m->ip_version = 6;
	m->have |= HAVE_IP;
	m->l3 = at;
	__builtin_memcpy(&pkt->flow.saddr, ip->src, 16);
	__builtin_memcpy(&pkt->flow.daddr, ip->dst, 16);
	/* On the wire such an address is never right (RFC 4291, 2.5.5.2), and here it would pass for IPv4. */
	if (ip_is_v4(&pkt->flow.saddr) || ip_is_v4(&pkt->flow.daddr))
		return PARSED_MALFORMED;
	next = ip->next;
	at += sizeof(*ip);

#pragma clang loop unroll(disable)
	for (u32 i = 0; i <= IPV6_EXTENSIONS; i++) {
		struct ipv6_extension *extension;
		u64 size;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS && next != IPPROTO_AH && next != IPPROTO_FRAGMENT) {
			pkt->flow.proto = next;
			payload->at = at;
			payload->end = end;
			return PARSED;
		}
		if (i == IPV6_EXTENSIONS)
			break;
		extension = bytes_at(pkt, at, sizeof(*extension));
		if (at + sizeof(*extension) > end || !extension)
			return PARSED_MALFORMED;
		size = ((u64)extension->length + 1) * 8;
		if (next == IPPROTO_AH)
			size = ((u64)extension->length + 2) * 4;
		if (next == IPPROTO_FRAGMENT) {
			size = sizeof(*extension);
			if (extension->fragment & bpf_htons(0xfff9)) {
				m->frag = 1;
				m->have |= HAVE_FRAG;
			}
		}
		next = extension->next;
		at += size;
		if (at > end)
			return PARSED_MALFORMED;
		if (m->frag) {
			pkt->flow.proto = next;
			return PARSED;
		}
	}
	return PARSED_MALFORMED;
}

/* A fragment has no L4, the first one neither: what it holds is only whole after all others have come. */
inline_always enum parsed parse_l4(struct pkt *pkt, u64 at, u64 end)
{
	struct md *m = &pkt->m;

	if (m->frag)
		return PARSED;
	if (m->ip_version == 6 && (pkt->flow.proto == IPPROTO_ESP || pkt->flow.proto == IPPROTO_NONE))
		return PARSED;	/* encrypted, or nothing behind */

	if (pkt->flow.proto == IPPROTO_TCP) {
		struct tcp_header *tcp = bytes_at(pkt, at, sizeof(*tcp));
		u64 size;

		if (at + sizeof(*tcp) > end || !tcp)
			return PARSED_MALFORMED;
		size = (tcp->offset >> 4) * 4;
		if (size < sizeof(*tcp) || at + size > end)
			return PARSED_MALFORMED;
		pkt->flow.sport = tcp->sport;
		pkt->flow.dport = tcp->dport;
		m->tcp_flags = tcp->flags;
		m->have |= HAVE_L4 | HAVE_TCP;
		m->l4 = at;
		m->pl = at + size;
		m->pl_len = end - at - size;
	} else if (pkt->flow.proto == IPPROTO_UDP) {
		struct udp_header *udp = bytes_at(pkt, at, sizeof(*udp));
		u64 length;

		if (at + sizeof(*udp) > end || !udp)
			return PARSED_MALFORMED;
		length = bpf_ntohs(udp->length);
		if (length < sizeof(*udp) || at + length > end)
			return PARSED_MALFORMED;
		pkt->flow.sport = udp->sport;
		pkt->flow.dport = udp->dport;
		m->have |= HAVE_L4 | HAVE_UDP;
		m->l4 = at;
		m->pl = at + sizeof(*udp);
		m->pl_len = length - sizeof(*udp);
	} else if ((pkt->flow.proto == IPPROTO_ICMP && m->ip_version == 4) || (pkt->flow.proto == IPPROTO_ICMPV6 && m->ip_version == 6)) {
		u8 *icmp = bytes_at(pkt, at, 8);

		if (at + 8 > end || !icmp)
			return PARSED_MALFORMED;
		m->have |= HAVE_ICMP;
		if (m->ip_version == 6 && ((icmp[0] >= 130 && icmp[0] <= 137) || icmp[0] == 143))
			m->have |= HAVE_ND;
		m->l4 = at;
		m->pl = at + 8;
		m->pl_len = end - at - 8;
	} else {
		m->l4 = at;
	}
	return PARSED;
}

/* A straight line for what most packets are: IPv4 without tags, options and fragments, with TCP or UDP, and one comparison with the
   frame's end. Says the same of them as the long way, which takes what is left (0) as if nobody had looked. */
inline_always int parse_plain(struct pkt *pkt, u64 len)
{
	const struct eth_header *eth = (void *)(long)pkt->ctx->data;
	const struct ipv4_header *ip = (void *)(eth + 1);
	const struct tcp_header *tcp = (void *)(ip + 1);
	const struct udp_header *udp = (void *)tcp;
	const u64 l4 = sizeof(*eth) + sizeof(*ip);
	struct md *m = &pkt->m;
	u64 end, size, ends;

	if ((void *)(tcp + 1) > (void *)(long)pkt->ctx->data_end)
		return 0;
	if (eth->type != bpf_htons(ETHERTYPE_IP) || ip->version_ihl != 0x45 || ip->fragment & bpf_htons(0x3fff))
		return 0;
	end = sizeof(*eth) + bpf_ntohs(ip->length);
	if (end > len)
		return 0;
	if (ip->proto == IPPROTO_TCP) {
		size = (tcp->offset >> 4) * 4;
		if (size < sizeof(*tcp) || l4 + size > end)
			return 0;
		m->tcp_flags = tcp->flags;
		m->have = HAVE_ETH | HAVE_IP | HAVE_L4 | HAVE_TCP;
	} else if (ip->proto == IPPROTO_UDP) {
		size = bpf_ntohs(udp->length);
		if (size < sizeof(*udp) || l4 + size > end)
			return 0;
		end = l4 + size;
		size = sizeof(*udp);
		m->have = HAVE_ETH | HAVE_IP | HAVE_L4 | HAVE_UDP;
	} else {
		return 0;
	}
	/* Whole words: what is stored in pieces and loaded as one keeps the processor waiting. */
	ends = (u64)ip->proto << 32 | *(const u32 *)tcp;
	__builtin_memcpy(&pkt->flow.sport, &ends, sizeof(ends));
	pkt->flow.saddr.q[1] = (u64)ip->src << 32 | bpf_htonl(0xffff);
	pkt->flow.daddr.q[1] = (u64)ip->dst << 32 | bpf_htonl(0xffff);
	m->eth_type = ETHERTYPE_IP;
	m->ip_version = 4;
	m->l3 = sizeof(*eth);
	m->l4 = l4;
	m->pl = l4 + size;
	m->pl_len = end - l4 - size;
	return 1;
}

inline_always enum parsed parse(struct pkt *pkt)
{
	struct md *m = &pkt->m;
	struct payload payload = {};
	enum parsed parsed = PARSED;
	struct eth_header *eth;
	u64 at = sizeof(*eth), len;
	be16 type;

	len = (u64)pkt->ctx->data_end - pkt->ctx->data;
	m->len = len;
	if (parse_plain(pkt, len))
		return PARSED;
	eth = bytes_at(pkt, 0, sizeof(*eth));
	if (!eth)
		return PARSED_MALFORMED;
	m->have = HAVE_ETH;
	type = eth->type;
	for (u32 i = 0; i < 2; i++) {
		struct vlan_tag *tag;

		if (type != bpf_htons(ETHERTYPE_VLAN) && type != bpf_htons(ETHERTYPE_QINQ))
			break;
		tag = bytes_at(pkt, at, sizeof(*tag));
		if (!tag)
			return PARSED_MALFORMED;
		if (i == 0) {
			m->vlan_id = bpf_ntohs(tag->tci) & 0xfff;
			m->have |= HAVE_VLAN;
		}
		type = tag->type;
		at += sizeof(*tag);
	}
	m->eth_type = bpf_ntohs(type);
	if (m->eth_type == ETHERTYPE_CONTROL)
		return PARSED_CONTROL;
	if (m->eth_type == ETHERTYPE_IP)
		parsed = parse_ipv4(pkt, at, &payload);
	else if (m->eth_type == ETHERTYPE_IPV6)
		parsed = parse_ipv6(pkt, at, &payload);
	else
		return PARSED;
	if (parsed != PARSED)
		return parsed;
	return parse_l4(pkt, payload.at, payload.end);
}

#endif
