/*
 * The four VNFs of examples/dc-edge, each one function by hand, chained by tail calls: edge, monitor, waf, lb. Each reads of the packet what
 * it needs itself, keeps pointers and registers, and looks up the deployment's own tables by the same code. SESSIONS_FIRST: a known
 * connection is neither checked against the service's addresses nor hashed.
 */
#include "baselines/common.h"
#include "ebpfnf/direct.h"

#define cpu_here() (bpf_get_smp_processor_id() & (CPUS - 1))

/* What the tables of rules are matched against. */
struct pkt {
	const struct seen *s;
	struct { u16 have; u8 ip_version; u8 tcp_flags; } m;
};

inline_always struct mac_addr mac_of(const u8 *at)
{
	struct mac_addr mac;

	__builtin_memcpy(&mac, at, sizeof(mac));
	return mac;
}

#define get_eth_src(p) mac_of((p)->s->eth->src)
#define get_eth_dst(p) mac_of((p)->s->eth->dst)
#define get_eth_type(p) bpf_ntohs((p)->s->type)
#define get_vlan_id(p) ((p)->s->vlan_id)
#define get_ip_version(p) ((p)->s->version)
#define get_ip_src(p) ((p)->s->flow.saddr)
#define get_ip_dst(p) ((p)->s->flow.daddr)
#define get_ip_proto(p) ((p)->s->flow.proto)
#define get_ip_dscp(p) ((p)->s->dscp)
#define get_l4_sport(p) ((p)->s->flow.sport)
#define get_l4_dport(p) ((p)->s->flow.dport)
#define get_tcp_flags(p) ((p)->s->flags)
#define settle(p) memory_barrier()

#include "baselines/accessors.h"

enum { MALFORMED, EDGE_L2, EDGE_ACL, INJECTION, NO_BACKEND, NO_FAMILY, TAKEN, FULL, TOO_BIG, MISSED, OUT };

#define IDLE (900 * SECOND)

inline_always int counted(u32 what, int action)
{
	u64 *counts = MAP_VALUE(MAP_meta) + cpu_here() * SLOT_SIZE + COUNTS_AT;

	counts[what]++;
	return action;
}

inline_always int next(struct xdp_md *ctx, u32 place)
{
	((void (*)(void *, void *, u32))BPF_FUNC_tail_call)(ctx, MAP_FD(MAP_chained), place);
	return counted(MISSED, XDP_DROP);
}

int edge(struct xdp_md *ctx)
{
	struct edge_acl_rules_value *rule;
	struct edge_l2_rules_value *l2;
	struct seen s = {};
	struct pkt pkt = { .s = &s };

	if (see(ctx, &s) || s.fragment)
		return counted(MALFORMED, XDP_DROP);
	pkt.m.have = s.have;
	pkt.m.ip_version = s.version;
	pkt.m.tcp_flags = s.flags;
	l2 = edge_l2_rules_match(&pkt);
	if (l2 && l2->action)
		return counted(EDGE_L2, XDP_DROP);
	rule = edge_acl_rules_match(&pkt);
	if (!rule || rule->action)
		return counted(EDGE_ACL, XDP_DROP);
	return next(ctx, 1);
}

/* Wants the destination only. */
int monitor(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *at = data + sizeof(struct eth);
	struct ip_addr address = {};
	u32 *subnet, size = end - data;
	struct eth *eth = data;
	be16 type;

	if (at > end)
		return counted(MALFORMED, XDP_DROP);
	stats_sizes_sizes_record(size);
	type = eth->type;
#pragma clang loop unroll(full)
	for (int i = 0; i < 2; i++) {
		struct vlan *tag = at;

		if (type != bpf_htons(0x8100) && type != bpf_htons(0x88a8))
			break;
		if (at + sizeof(*tag) > end)
			return counted(MALFORMED, XDP_DROP);
		type = tag->type;
		at += sizeof(*tag);
	}
	if (type == bpf_htons(0x0800)) {
		struct ip4 *ip = at;

		if (at + sizeof(*ip) > end)
			return counted(MALFORMED, XDP_DROP);
		address.w[2] = bpf_htonl(0xffff);
		address.w[3] = ip->dst;
	} else if (type == bpf_htons(0x86dd)) {
		struct ip6 *ip = at;

		if (at + sizeof(*ip) > end)
			return counted(MALFORMED, XDP_DROP);
		__builtin_memcpy(&address, ip->dst, 16);
	} else {
		return next(ctx, 2);
	}
	subnet = stats_subnets_subnets_lookup(&address);
	if (subnet)
		stats_subnets_counts_add(*subnet, &(struct stats_subnets_counts_value){ .packets = 1, .bytes = size });
	return next(ctx, 2);
}

/* What a payload of these eight bytes or more begins with. */
inline_always u32 speech(u32 head, u32 following)
{
	switch (head) {
	case 'GET ':
	case 'PUT ':
		return HTTP_REQUEST;
	case 'POST':
	case 'HEAD':
		return following >> 24 == ' ' ? HTTP_REQUEST : HTTP_NONE;
	case 'TRAC':
		return following >> 16 == ('E' << 8 | ' ') ? HTTP_REQUEST : HTTP_NONE;
	case 'PATC':
		return following >> 16 == ('H' << 8 | ' ') ? HTTP_REQUEST : HTTP_NONE;
	case 'DELE':
		return following >> 8 == 'TE ' ? HTTP_REQUEST : HTTP_NONE;
	case 'OPTI':
		return following == 'ONS ' ? HTTP_REQUEST : HTTP_NONE;
	case 'CONN':
		return following == 'ECT ' ? HTTP_REQUEST : HTTP_NONE;
	case 'HTTP':
		return following >> 8 == '/1.' ? HTTP_RESPONSE : HTTP_NONE;
	}
	return HTTP_NONE;
}

/* The machine of the table `text`, as tables/automaton/blob.py lays it out. */
struct machine {
	u16 reader[32 * 256];
	u32 lexer[STATES * 64];
	u16 grammar[STATES * 64];
	u64 sieve[256];
};

struct cursor {
	const struct machine *machine;
	u32 reader, lexer, grammar, ranks;
};

inline_always void token(struct cursor *at, u64 token)
{
	u64 index = ((u64)at->grammar << 6 | (token & 63)) & (STATES * 64 - 1);

	as_checked(index);
	at->ranks |= at->machine->grammar[index];
	at->grammar = at->machine->grammar[index] >> 2;
}

inline_always void step(struct cursor *at, u8 byte)
{
	u64 index = ((u64)at->reader << 8 | byte) & (32 * 256 - 1);
	u32 class, next;

	as_checked(index);
	class = at->machine->reader[index];
	at->reader = class >> 6;
	index = ((u64)at->lexer << 6 | (class & 63)) & (STATES * 64 - 1);
	as_checked(index);
	next = at->machine->lexer[index];
	at->lexer = next >> 12;
	if (next & 0xfff) {
		token(at, next >> 6);
		token(at, next);
	}
}

/* The byte at i of a payload, -1 behind its end or the frame's. */
inline_always int at_place(u8 *payload, u32 i, u64 size, void *end)
{
	u8 *byte = payload + i;

	return i >= size || (void *)(byte + 1) > end ? -1 : *byte;
}

inline_always void *payload_at(struct xdp_md *ctx, u64 from)
{
	return (void *)(long)ctx->data + (from & 0x7fff);
}

/*
 * Whether a payload carries SQL injection: the machine reads what the sieve holds. Its place goes through memory: the verifier then looks at
 * the loops once and not once for each way through the headers, for which a million instructions are too few.
 */
inline_always int injects(struct xdp_md *ctx, u64 from, u64 length)
{
	volatile u64 *place = MAP_VALUE(MAP_meta) + cpu_here() * SLOT_SIZE;
	struct cursor at = { .machine = only(MAP_FD(MAP_waf_sqli_text)) };
	u64 size, rows, found = ~0ULL;
	void *payload, *end;
	int byte;

	if (!at.machine)
		return 0;
	place[0] = from;
	place[1] = length;
	payload = payload_at(ctx, place[0]);
	size = place[1];
	end = (void *)(long)ctx->data_end;
	rows = at.machine->sieve['\n'];
	for (u32 i = 0; i < 1024; i++) {
		byte = at_place(payload, i, size, end);
		if (byte < 0)
			break;
		rows = rows << 8 | at.machine->sieve[(u8)byte];
		found &= rows;
	}
	if ((found & (rows << 8 | at.machine->sieve['\n'])) >> 56 == 0xff)
		return 0;
	payload = payload_at(ctx, place[0]);
	size = place[1];
	for (u32 i = 0; i < 1024; i++) {
		byte = at_place(payload, i, size, end);
		if (byte < 0)
			break;
		step(&at, byte);
	}
	if (size <= 1024)
		step(&at, '\n');
	return at.ranks >> 1 & 1;
}

int waf(struct xdp_md *ctx)
{
	u32 kind = HTTP_NONE;
	struct seen s = {};
	int to_server;
	u8 seen = 1;
	u64 offset;
	u8 *payload;

	if (see(ctx, &s))
		return counted(MALFORMED, XDP_DROP);
	to_server = s.flow.dport == bpf_htons(80);
	if (!(s.have & HAVE_TCP) || (!to_server && s.flow.sport != bpf_htons(80)))
		return next(ctx, 3);
	offset = s.payload;
	as_checked(offset);
	if (offset > 0x7fff)
		return counted(MALFORMED, XDP_DROP);
	payload = (void *)(long)ctx->data + offset;
	if (s.payload_size >= 8 && (void *)(payload + 8) <= s.end)
		kind = speech(bpf_ntohl(*(be32 *)payload), bpf_ntohl(*(be32 *)(payload + 4)));
	if (!to_server)
		s.flow = flow_reverse(&s.flow);
	if (kind != HTTP_NONE)
		waf_http_flows_touch(&s.flow, &seen);
	else if (waf_http_flows_lookup(&s.flow))
		kind = to_server ? HTTP_REQUEST : HTTP_RESPONSE;
	if (kind == HTTP_REQUEST && injects(ctx, s.payload, s.payload_size))
		return counted(INJECTION, XDP_DROP);
	return next(ctx, 3);
}

#ifdef DIRECT
/* The headers' places through memory, as for the loop above: the code of directly addressed tables is long. */
inline_always void places_settle(struct xdp_md *ctx, struct seen *s)
{
	struct { struct flow flow; u32 l3_at, l4_at, size; u16 have; u8 version; } *kept = MAP_VALUE(MAP_meta) + cpu_here() * SLOT_SIZE;
	void *data = (void *)(long)ctx->data;
	u64 l3_at, l4_at;

	kept->flow = s->flow;
	kept->l3_at = s->l3_at;
	kept->l4_at = s->have & HAVE_L4 ? s->l4 - data : s->l3_at;
	kept->size = s->size;
	kept->have = s->have;
	kept->version = s->version;
	memory_barrier();
	__builtin_memset(s, 0, sizeof(*s));
	data = (void *)(long)ctx->data;
	s->end = (void *)(long)ctx->data_end;
	s->flow = kept->flow;
	l3_at = kept->l3_at & 0x7fff;
	l4_at = kept->l4_at & 0x7fff;
	as_checked(l3_at);
	as_checked(l4_at);
	s->l3_at = l3_at;
	s->l3 = data + l3_at;
	s->l4 = data + l4_at;
	s->size = kept->size;
	s->have = kept->have;
	s->version = kept->version;
}
#endif

inline_always int alive(const struct lb_nat_sessions_value *session, u64 now)
{
	return session && now - session->last_seen < IDLE;
}

int lb(struct xdp_md *ctx)
{
	struct lb_nat_sessions_value *session, *other;
	struct lb_pick_backends_value *backend;
	u64 now = bpf_jiffies64() * 4000000;
	struct seen s = {};

	if (see(ctx, &s))
		return counted(MALFORMED, XDP_DROP);
#ifdef DIRECT
	places_settle(ctx, &s);
#endif
#ifdef SESSIONS_FIRST
	session = lb_nat_sessions_lookup(&s.flow);
	if (alive(session, now))
		goto known;
#endif
	if (s.flow.dport != bpf_htons(80) || !lb_pick_vips_lookup(&s.flow.daddr))
		goto out;
	backend = lb_pick_backends_pick(flow_hash(&s.flow));
	if (!backend)
		return counted(NO_BACKEND, XDP_DROP);
#ifndef SESSIONS_FIRST
	session = lb_nat_sessions_lookup(&s.flow);
	if (alive(session, now))
		goto known;
#endif
	{
		struct lb_nat_sessions_value there = { now, s.version == 4 ? backend->v4 : backend->v6, backend->port };
		struct lb_nat_sessions_value back = { now, s.flow.daddr, s.flow.dport };
		struct flow reply = flow_reverse(&s.flow);

		if (ip_is_zero(&there.addr))
			return counted(NO_FAMILY, XDP_DROP);
		reply.saddr = there.addr;
		reply.sport = there.port;
		other = lb_nat_sessions_lookup(&reply);
		if (alive(other, now) && !(ip_equal(&other->addr, &back.addr) && other->port == back.port))
			return counted(TAKEN, XDP_DROP);
		if (lb_nat_sessions_touch(&reply, &back) || lb_nat_sessions_touch(&s.flow, &there))
			return counted(FULL, XDP_DROP);
		readdress(&s, 0, &there.addr, there.port);
		goto out;
	}
known:
	session->last_seen = now;
	readdress(&s, 0, &session->addr, session->port);
out:
	if (s.size - s.l3_at > 1500)
		return counted(TOO_BIG, XDP_DROP);
	counted(OUT, 0);
	return bpf_redirect_map(MAP_FD(MAP_ports), 2, XDP_DROP);
}
