/* The way through a VM: the packet's record waits here, a cookie in place of the Ethernet addresses finds it again. */
#ifndef EBPFNF_VM_H
#define EBPFNF_VM_H

#define VM_FRAME 1600		/* bytes of a frame that a guest takes for sure */

struct cookie {
	u32 nonce;
	u32 index;
	u16 generation;
	u16 position;
};

/* The record of a packet that is in a VM, or was: it is overwritten when its CPU's ring comes round, as a VM may make
 * several packets of one, or none. The nonce is zero while the record is written. */
struct saved {
	u32 nonce;
	u32 tap;		/* ifindex; what another VM gives back is not this packet */
	u16 position;
	u8 addresses[12];
	u16 zero;
	u64 record[RECORD_WORDS];
};

/* What the agent says of the VMs: written while packets run, a word at a time. */
struct vm_state {
	u32 generation;
	u32 zero;
	struct {
		u32 serving;	/* a bit for each place: packets of flows that it knows go there */
		u32 taking;	/* ... and of new flows too */
		u32 taps[VM_INSTANCES];
	} stages[VM_STAGES];
};

/* Which VM knows a flow, by its tap, and when it had a packet last. */
struct vm_flow {
	u32 tap;
	u32 seen;	/* in 2^30 ns */
};

_Static_assert(sizeof(struct cookie) == 12, "two Ethernet addresses");
_Static_assert(sizeof(struct saved) == VM_SAVED_SIZE, "the ring's entries must hold it");
_Static_assert(sizeof(struct vm_state) == VM_STATE_SIZE, "the map must hold it");

#define VMS ((volatile const struct vm_state *)MAP_VALUE(MAP_vm_state))

/* A flow's number, the same for both directions. Two flows of one number share a VM, which harms neither. */
inline_always u64 vm_flow_of(const struct pkt *pkt)
{
	const struct flow *f = &pkt->flow;
	u64 h = (f->saddr.q[0] + f->daddr.q[0]) * 0x9e3779b97f4a7c15ULL;

	h = (h ^ h >> 29) + (f->saddr.q[1] + f->daddr.q[1]) * 0xbf58476d1ce4e5b9ULL;
	h = (h ^ h >> 29) + ((u64)f->sport + f->dport + ((u64)f->proto << 32)) * 0x94d049bb133111ebULL;
	return h ^ h >> 32;
}

/* 1 + the place of the VM behind this tap, 0 when it doesn't serve. */
inline_always u32 vm_place(u32 stage, u32 tap)
{
	u32 serving = VMS->stages[stage].serving, place = 0;

	for (u32 i = 0; i < VM_INSTANCES; i++)
		if (serving >> i & 1 && VMS->stages[stage].taps[i] == tap)
			place = i + 1;
	return place;
}

/* The tap for a new flow, 0 when none serves: the highest draw wins, so that a tap that comes or goes moves no other's flows. */
inline_always u32 vm_draw(u32 stage, u64 flow)
{
	u32 open = VMS->stages[stage].taking, tap = 0;
	u64 best = 0;

	if (!open)
		open = VMS->stages[stage].serving;
	for (u32 i = 0; i < VM_INSTANCES; i++) {
		u32 its = VMS->stages[stage].taps[i];
		u64 draw = (flow ^ its * 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;

		draw = (draw ^ draw >> 31) * 0x94d049bb133111ebULL;
		if (open >> i & 1 && (draw | 1) > best) {
			best = draw | 1;
			tap = its;
		}
	}
	return tap;
}

/* Where to: 1 + the place of a VM, 0 when none serves. A flow stays with the VM that knows it, as long as that serves. */
inline_always u32 vm_pick(struct pkt *pkt, u32 stage, void *flows, u32 moved)
{
	u64 flow = vm_flow_of(pkt);
	struct vm_flow *known = bpf_map_lookup_elem(flows, &flow), new = {.seen = pkt->now >> 30};
	u32 place;

	if (!known) {
		new.tap = vm_draw(stage, flow);
		if (!new.tap)
			return 0;
		bpf_map_update_elem(flows, &flow, &new, 1 /* BPF_NOEXIST */);
		known = bpf_map_lookup_elem(flows, &flow);	/* another CPU may have been first */
		if (!known)
			return vm_place(stage, new.tap);
	}
	place = vm_place(stage, known->tap);
	if (!place) {
		new.tap = vm_draw(stage, flow);
		place = vm_place(stage, new.tap);
		if (!place)
			return 0;
		known->tap = new.tap;
		count(pkt, moved);
	}
	if (known->seen != new.seen)
		known->seen = new.seen;
	return place;
}

inline_always void vm_send(struct pkt *pkt, u32 stage, u32 way, u32 sent, u32 too_big, u32 refused, u32 position)
{
	u32 index = (bpf_get_smp_processor_id() & HOST->cpu_mask) * VM_RECORDS + (pkt->slot->saved++ & (VM_RECORDS - 1));
	struct saved *saved = bpf_map_lookup_elem(MAP_FD(MAP_vm_records), &index);
	struct cookie *cookie;
	u32 nonce = bpf_get_prandom_u32() | 1;

	if (pkt->m.len > VM_FRAME)
		return leave(pkt, XDP_DROP, too_big, 0, position);
	checksums_complete(pkt);
	pkt->csum_l3 = 0;
	pkt->csum_l4 = 0;
	cookie = bytes_at(pkt, 0, sizeof(*cookie));
	if (!saved || !cookie)
		return leave(pkt, XDP_DROP, refused, 0, position);
	way &= VM_INSTANCES - 1;
	saved->nonce = 0;
	memory_barrier();
	saved->tap = VMS->stages[stage].taps[way];
	saved->position = position;
	__builtin_memcpy(saved->addresses, cookie, sizeof(saved->addresses));
	__builtin_memcpy(saved->record, RECORD_OF(pkt), RECORD_SIZE);
	memory_barrier();
	saved->nonce = nonce;
	cookie->nonce = nonce;
	cookie->index = index;
	cookie->generation = VMS->generation;
	cookie->position = position;
	if (bpf_redirect_map(MAP_FD(MAP_vms), stage * VM_INSTANCES + way, XDP_DROP) != XDP_REDIRECT)
		return leave(pkt, XDP_DROP, refused, 0, position);
	leave(pkt, XDP_REDIRECT, sent, 0, position);
}

/* The packet that a frame from a VM stands for, with the frame's addresses as they were: the position + 1 that it comes from, or 0. */
inline_always u32 vm_found(struct pkt *pkt)
{
	struct cookie *cookie = bytes_at(pkt, 0, 14);
	struct saved *saved;
	u32 index, nonce, position;

	if (!cookie || cookie->generation != (u16)VMS->generation)
		return 0;
	index = cookie->index;
	nonce = cookie->nonce;
	position = cookie->position;
	saved = bpf_map_lookup_elem(MAP_FD(MAP_vm_records), &index);
	if (!saved || !nonce || saved->nonce != nonce || saved->position != position || saved->tap != pkt->ctx->ingress_ifindex)
		return 0;
	memory_barrier();
	__builtin_memcpy(RECORD_OF(pkt), saved->record, RECORD_SIZE);
	__builtin_memcpy(cookie, saved->addresses, sizeof(saved->addresses));
	memory_barrier();
	/* Another CPU may have taken the place for another packet meanwhile. */
	return saved->nonce == nonce ? position : 0;
}

/* Whatever the VM did to the frame, the record tells the frame as it is; what stages wrote into it stays. */
inline_always enum parsed vm_parse(struct pkt *pkt)
{
	struct md *m = &pkt->m;
	struct flow none = {};

	pkt->flow = none;
	m->ip_version = 0;
	m->have = 0;
	m->tcp_flags = 0;
	m->frag = 0;
	m->l3 = 0;
	m->l4 = 0;
	m->pl = 0;
	m->pl_len = 0;
	m->vlan_id = 0;
	return parse(pkt);
}

#endif
