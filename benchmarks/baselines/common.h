/* What hand-written programs share: headers, one parse that keeps pointers, checksums, and the tables of the deployment they are held against. */
#ifndef BASELINES_COMMON_H
#define BASELINES_COMMON_H

#include "ebpfnf/types.h"

struct eth { u8 dst[6]; u8 src[6]; be16 type; };
struct vlan { be16 tci; be16 type; };
struct ip4 { u8 version_ihl; u8 tos; be16 length; be16 id; be16 fragment; u8 ttl; u8 proto; be16 check; be32 src; be32 dst; };
struct ip6 { u8 version_class; u8 class_label[3]; be16 length; u8 next; u8 hops; be32 src[4]; be32 dst[4]; };
struct ext6 { u8 next; u8 length; be16 fragment; be32 id; };
struct l4 { be16 sport; be16 dport; be32 seq; be32 ack; u8 offset; u8 flags; be16 window; be16 check; be16 urgent; };

struct seen {
	struct eth *eth;
	void *l3;
	void *l4;
	void *end;
	struct flow flow;
	u32 size;	/* of the frame */
	u32 l3_at;
	u32 payload;	/* offset of the payload */
	u32 payload_size;
	u16 have;
	u16 vlan_id;	/* of the outer tag */
	be16 type;	/* behind the tags */
	u8 version;
	u8 dscp;
	u8 flags;
	u8 fragment;
};

/* 0: whole and understood. */
inline_always int see(struct xdp_md *ctx, struct seen *s)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *at;
	u32 size, l3_size;
	be16 type;

	s->end = end;
	s->eth = data;
	if (data + sizeof(*s->eth) > end)
		return -1;
	s->size = size = end - data;
	s->have = HAVE_ETH;
	type = s->eth->type;
	at = data + sizeof(*s->eth);
	s->l3_at = sizeof(*s->eth);
#pragma clang loop unroll(full)
	for (int i = 0; i < 2; i++) {
		struct vlan *tag = at;

		if (type != bpf_htons(0x8100) && type != bpf_htons(0x88a8))
			break;
		if (at + sizeof(*tag) > end)
			return -1;
		if (!i)
			s->vlan_id = bpf_ntohs(tag->tci) & 0xfff;
		type = tag->type;
		at += sizeof(*tag);
		s->l3_at += sizeof(*tag);
		s->have |= HAVE_VLAN;
	}
	s->l3 = at;
	s->type = type;
	if (type == bpf_htons(0x0800)) {
		struct ip4 *ip = at;

		if (at + sizeof(*ip) > end || ip->version_ihl >> 4 != 4)
			return -1;
		l3_size = (ip->version_ihl & 15) * 4;
		if (l3_size < sizeof(*ip) || bpf_ntohs(ip->length) < l3_size || s->l3_at + bpf_ntohs(ip->length) > size)
			return -1;
		s->version = 4;
		s->dscp = ip->tos >> 2;
		s->flow.saddr.w[2] = s->flow.daddr.w[2] = bpf_htonl(0xffff);
		s->flow.saddr.w[3] = ip->src;
		s->flow.daddr.w[3] = ip->dst;
		s->flow.proto = ip->proto;
		s->fragment = !!(ip->fragment & bpf_htons(0x3fff));
		s->payload_size = bpf_ntohs(ip->length) - l3_size;
	} else if (type == bpf_htons(0x86dd)) {
		struct ip6 *ip = at;
		u8 next;

		if (at + sizeof(*ip) > end || ip->version_class >> 4 != 6 || s->l3_at + 40 + bpf_ntohs(ip->length) > size)
			return -1;
		l3_size = sizeof(*ip);
		s->version = 6;
		s->dscp = (ip->version_class & 15) << 2 | ip->class_label[0] >> 6;
		__builtin_memcpy(&s->flow.saddr, ip->src, 16);
		__builtin_memcpy(&s->flow.daddr, ip->dst, 16);
		next = ip->next;
#pragma clang loop unroll(disable)
		for (int i = 0; i < 2; i++) {
			struct ext6 *extension = at + l3_size;

			if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT)
				break;
			if ((void *)(extension + 1) > end)
				return -1;
			if (next == IPPROTO_FRAGMENT) {
				s->fragment = !!(extension->fragment & bpf_htons(0xfff9));
				l3_size += 8;
			} else {
				l3_size += 8 * (extension->length + 1);
			}
			next = extension->next;
			if (l3_size > 40 + 2 * 2048)
				return -1;
		}
		s->flow.proto = next;
		s->payload_size = bpf_ntohs(ip->length) + 40 - l3_size;
	} else {
		return -1;
	}
	s->have |= HAVE_IP;
	if (s->fragment)
		return 0;
	at += l3_size;
	s->l4 = at;
	if (s->flow.proto == IPPROTO_TCP) {
		struct l4 *tcp = at;

		if (at + sizeof(*tcp) > end || (tcp->offset >> 4) * 4 < 20 || (tcp->offset >> 4) * 4 > s->payload_size)
			return -1;
		s->flow.sport = tcp->sport;
		s->flow.dport = tcp->dport;
		s->flags = tcp->flags;
		s->have |= HAVE_L4 | HAVE_TCP;
		s->payload = s->l3_at + l3_size + (tcp->offset >> 4) * 4;
		s->payload_size -= (tcp->offset >> 4) * 4;
	} else if (s->flow.proto == IPPROTO_UDP) {
		struct l4 *udp = at;

		if (at + 8 > end || s->payload_size < 8)
			return -1;
		s->flow.sport = udp->sport;
		s->flow.dport = udp->dport;
		s->have |= HAVE_L4 | HAVE_UDP;
		s->payload = s->l3_at + l3_size + 8;
		s->payload_size -= 8;
	}
	return 0;
}

inline_always u16 fold(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* What the checksum grows by when the words of `old` become those of `new`. */
inline_always u32 difference(const be32 *old, const be32 *new, u32 words)
{
	u32 sum = 0;

#pragma clang loop unroll(full)
	for (u32 i = 0; i < words; i++) {
		sum += (u16)~old[i];
		sum += (u16)~(old[i] >> 16);
		sum += (u16)new[i];
		sum += new[i] >> 16;
	}
	return sum;
}

/* ---- tables, as the deployment lays them out */

struct rule_record {
	u64 value[5];
	u64 mask[5];
	u16 low[2];
	u16 high[2];
	u32 rule;
	u32 named;
};

struct rule_value {
	u32 action;
	u16 class;
};

struct rules {
	u32 rules;
	u32 records;
	struct rule_record record[RULES + 1];
	struct rule_value value[RULES];
};

struct backend {
	struct ip_addr v4;
	struct ip_addr v6;
	be16 port;
	u16 index;
	u32 zero;
};

struct backends {
	u32 count;
	u16 slot[65537];
	u8 present[BACKENDS];
	struct backend value[BACKENDS] __attribute__((aligned(8)));
};

struct session {
	u64 last_seen;
	struct ip_addr addr;
	be16 port;
};

struct bytes {
	u64 packets;
	u64 bytes;
};

/* The first of the rules that fits; 0 for none. */
inline_always struct rule_value *rule_of(struct seen *s, struct rules *rules)
{
	u64 source = bpf_ntohs(s->flow.sport), destination = bpf_ntohs(s->flow.dport), rule = 0;
	u64 a = s->flow.saddr.q[0], b = s->flow.saddr.q[1], c = s->flow.daddr.q[0], d = s->flow.daddr.q[1];
	u64 e = s->have | (u64)s->version << 16 | (u64)s->flow.proto << 24 | (u64)s->dscp << 32 | (u64)s->flags << 40;

	for (u32 i = 0; i <= RULES; i++) {
		const struct rule_record *r = &rules->record[i];
		u64 differs = ((a ^ r->value[0]) & r->mask[0]) | ((b ^ r->value[1]) & r->mask[1]) | ((c ^ r->value[2]) & r->mask[2]) |
			      ((d ^ r->value[3]) & r->mask[3]) | ((e ^ r->value[4]) & r->mask[4]);

		differs |= ((source - r->low[0]) | (r->high[0] - source) | (destination - r->low[1]) | (r->high[1] - destination)) >> 63;
		if (!differs) {
			rule = r->rule;
			break;
		}
	}
	as_checked(rule);
	rule -= 1;
	return rule < RULES ? &rules->value[rule] : 0;
}

inline_always void *only(void *outer)
{
	u32 zero = 0;
	void *inner = bpf_map_lookup_elem(outer, &zero);

	return inner ? bpf_map_lookup_elem(inner, &zero) : 0;
}

/* To the far end: address and port, checksums with them. */
inline_always void readdress(struct seen *s, int source, const struct ip_addr *addr, be16 port)
{
	struct l4 *l4 = s->l4;
	u16 *check;
	u32 sum;

	if (!(s->have & HAVE_L4) || s->l4 + 8 > s->end)
		return;
	if (s->version == 4) {
		struct ip4 *ip = s->l3;
		be32 *at = source ? &ip->src : &ip->dst;

		if ((void *)(ip + 1) > s->end)
			return;
		sum = difference(at, &addr->w[3], 1);
		*at = addr->w[3];
		ip->check = ~fold((u16)~ip->check + sum);
	} else {
		struct ip6 *ip = s->l3;
		be32 *at = source ? ip->src : ip->dst;

		if ((void *)(ip + 1) > s->end)
			return;
		sum = difference(at, addr->w, 4);
		__builtin_memcpy(at, addr, 16);
	}
	sum += (u16)~(source ? l4->sport : l4->dport) + port;
	if (source)
		l4->sport = port;
	else
		l4->dport = port;
	if (s->have & HAVE_UDP) {
		check = s->l4 + 6;
		if (*check) {
			u16 new = ~fold((u16)~*check + fold(sum));

			*check = new ? new : 0xffff;
		}
	} else if (s->l4 + 20 <= s->end) {
		check = s->l4 + 16;
		*check = ~fold((u16)~*check + fold(sum));
	}
}

#endif
