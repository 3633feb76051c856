/*
 * Access list, counters, load balancer and redirect in one function by hand: no framework, pointers kept in registers, every table the
 * deployment's own. SESSIONS_FIRST: a known connection is neither checked against the service's addresses nor hashed. TC: for the kernel's traffic control, at ingress.
 */
#ifdef TC
#define xdp_md __sk_buff	/* which has data and data_end too */
#define DROP 2			/* TC_ACT_SHOT */
#define ABORT 2
#define LEAVE() bpf_redirect(TC, 0)
#else
#define DROP XDP_DROP
#define ABORT XDP_ABORTED
#define LEAVE() bpf_redirect_map(MAP_FD(MAP_ports), 2, XDP_DROP)
#endif

#include "baselines/common.h"

inline_always void count_size(u32 size)
{
	u32 bucket = size <= 64 ? 0 : size <= 127 ? 1 : size <= 255 ? 2 : size <= 511 ? 3 : size <= 1023 ? 4 : size <= 1518 ? 5 : 6;
	u64 *count = bpf_map_lookup_elem(MAP_FD(MAP_stats_sizes_sizes), &bucket);

	if (count)
		(*count)++;
}

inline_always void count_subnet(struct seen *s)
{
	struct { u32 length; u32 family; struct ip_addr addr; } key = { 160, s->version, s->flow.daddr };
	u32 *subnet = bpf_map_lookup_elem(MAP_FD(MAP_stats_subnets_subnets), &key);
	struct bytes *counts;

	if (!subnet)
		return;
	counts = bpf_map_lookup_elem(MAP_FD(MAP_stats_subnets_counts), subnet);
	if (!counts)
		return;
	counts->packets++;
	counts->bytes += s->size;
}

int bench4(struct xdp_md *ctx)
{
	u64 *counted = (void *)MAP_VALUE(MAP_meta) + (bpf_get_smp_processor_id() & 15) * SLOT_SIZE + COUNTS_AT;
	u64 now = bpf_jiffies64() * 4000000, slot, number;
	struct session *session;
	struct backends *backends;
	struct backend *backend;
	struct rule_value *rule;
	struct seen s = {};
	struct rules *rules;

	if (see(ctx, &s) || s.fragment) {
		counted[1]++;
		return DROP;
	}
	rules = only(MAP_FD(MAP_acl_acl_rules));
	if (!rules)
		return ABORT;
	rule = rule_of(&s, rules);
	if (!rule || rule->action) {
		counted[2]++;
		return DROP;
	}
	count_size(s.size);
	count_subnet(&s);

#ifdef SESSIONS_FIRST
	session = bpf_map_lookup_elem(MAP_FD(MAP_lb_nat_sessions), &s.flow);
	if (session && now - session->last_seen < 300 * SECOND)
		goto known;
#endif
	if (s.flow.dport != bpf_htons(80) || !bpf_map_lookup_elem(MAP_FD(MAP_lb_pick_vips), &s.flow.daddr))
		goto out;
	slot = flow_hash(&s.flow) % 65537;
	backends = only(MAP_FD(MAP_lb_pick_backends));
	as_checked(slot);
	if (!backends || slot >= 65537)
		return ABORT;
	number = (u64)backends->slot[slot] - 1;
	as_checked(number);
	if (number >= BACKENDS) {
		counted[3]++;
		return DROP;
	}
	backend = &backends->value[number];
#ifndef SESSIONS_FIRST
	session = bpf_map_lookup_elem(MAP_FD(MAP_lb_nat_sessions), &s.flow);
	if (session && now - session->last_seen < 300 * SECOND)
		goto known;
#endif
	{
		struct session there = { now, s.version == 4 ? backend->v4 : backend->v6, backend->port };
		struct session back = { now, s.flow.daddr, s.flow.dport };
		struct flow reply = flow_reverse(&s.flow);

		reply.saddr = there.addr;
		reply.sport = there.port;
		if (bpf_map_update_elem(MAP_FD(MAP_lb_nat_sessions), &reply, &back, 0) ||
		    bpf_map_update_elem(MAP_FD(MAP_lb_nat_sessions), &s.flow, &there, 0)) {
			counted[4]++;
			return DROP;
		}
		readdress(&s, 0, &there.addr, there.port);
		goto out;
	}
known:
	session->last_seen = now;
	readdress(&s, 0, &session->addr, session->port);
out:
	if (s.size - s.l3_at > 1500) {
		counted[5]++;
		return DROP;
	}
	counted[0]++;
	return LEAVE();
}
