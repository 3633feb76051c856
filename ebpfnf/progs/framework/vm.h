/* The way through a VM: the packet's record waits here, a cookie in place of the Ethernet addresses finds it again. */
#ifndef EBPFNF_VM_H
#define EBPFNF_VM_H

#define VM_FRAME 1600		/* bytes of a frame that a guest takes for sure */
#define VM_WINDOW (VM_RECORDS - 256)	/* packets that may be in a VM at once; each CPU may see room for one that is not there */
#define VM_AGAIN (1ULL << 30)	/* ns between two packets for a VM that has as many and gives none back */
#define VM_RECEIPT 14		/* bytes of a receipt: the cookie of a packet that the guest dropped, and 1 + the number of the reason */

struct cookie {
	u32 nonce;
	u32 index;
	u16 generation;
	u16 position;
};

/* The record of a packet that is in a VM, or was. The nonce is zero while the record is written. */
struct saved {
	u32 nonce;
	u32 tap;		/* ifindex; what another VM gives back is not this packet */
	u64 number;		/* of the packets that went to this place */
	u16 position;
	u8 addresses[12];
	u16 zero;
	u64 record[RECORD_WORDS];
};

/* How many packets are in the VM at a place. A guest gives back each, or its receipt, in order. So no record is overwritten whose packet
 * is still there, and no tap's queue is ever too short. */
struct window {
	u64 sent;
	u64 back;		/* 1 + the number of the last that came back */
	u64 tried;		/* when one too many was sent, since none came back: they may all be lost */
	u64 zero[5];		/* a cache line */
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
_Static_assert(sizeof(struct window) == VM_WINDOW_SIZE, "the map must hold one for each place");

#define VMS ((volatile const struct vm_state *)MAP_VALUE(MAP_vm_state))
#define WINDOWS ((volatile struct window *)MAP_VALUE(MAP_vm_windows))

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

inline_always void vm_send(struct pkt *pkt, u32 stage, u32 way, u32 sent, u32 too_big, u32 full, u32 refused, u32 position)
{
	volatile struct window *window;
	struct cookie *cookie;
	struct saved *saved;
	u32 index, nonce = bpf_get_prandom_u32() | 1;
	u64 number;

	if (pkt->m.len > VM_FRAME)
		return leave(pkt, XDP_DROP, too_big, 0, position);
	way &= VM_INSTANCES - 1;
	window = &WINDOWS[stage * VM_INSTANCES + way];
	if (window->sent - window->back >= VM_WINDOW) {
		if (pkt->now - window->tried < VM_AGAIN)
			return leave(pkt, XDP_DROP, full, 0, position);
		window->tried = pkt->now;
	}
	checksums_complete(pkt);
	pkt->csum_l3 = 0;
	pkt->csum_l4 = 0;
	number = __sync_fetch_and_add(&window->sent, 1);
	index = (stage * VM_INSTANCES + way) * VM_RECORDS + (number & (VM_RECORDS - 1));
	saved = bpf_map_lookup_elem(MAP_FD(MAP_vm_records), &index);
	cookie = bytes_at(pkt, 0, sizeof(*cookie));
	if (!saved || !cookie)
		return leave(pkt, XDP_DROP, refused, 0, position);
	saved->nonce = 0;
	memory_barrier();
	saved->tap = VMS->stages[stage].taps[way];
	saved->number = number;
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
	volatile struct window *window;
	struct saved *saved;
	u32 index, nonce, position;
	u64 place;

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
	place = index / VM_RECORDS;
	as_checked(place);
	/* Another CPU may have taken the record for another packet meanwhile. */
	if (saved->nonce != nonce || place >= VM_STAGES * VM_INSTANCES)
		return 0;
	window = &WINDOWS[place];
	if (saved->number >= window->back)
		window->back = saved->number + 1;
	return position;
}

/* 1 + the number of the reason for which the guest dropped the packet, 256 where it says none; 0: it gave the packet back. */
inline_always u32 vm_dropped(struct pkt *pkt)
{
	u8 *receipt = bytes_at(pkt, 0, VM_RECEIPT);

	if (!receipt || bytes_at(pkt, 0, VM_RECEIPT + 1))
		return 0;
	return receipt[13] ? receipt[13] : 256;
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
