/* How a packet leaves: always counted, and for private copies recorded. */
#ifndef EBPFNF_LEAVE_H
#define EBPFNF_LEAVE_H

inline_always u32 ingress_port(void)
{
	return *(u32 *)(MAP_VALUE(MAP_ingress) + cpu_here() * 64);
}

inline_always void count(struct pkt *pkt, u32 counter)
{
	pkt->slot->counts[counter]++;
}

inline_always void leave(struct pkt *pkt, u32 action, u32 counter, u32 port, u32 position)
{
	pkt->slot->exit.ending = (struct ending){ action, counter, port, position };
}

inline_always int ended(struct pkt *pkt)
{
	struct ending *ending = &pkt->slot->exit.ending;
	u64 counter = ending->counter;

	as_checked(counter);
	if (counter >= COUNTERS)
		return XDP_ABORTED;
	pkt->slot->counts[counter]++;
	if (HOST->flags & HOST_RECORDS) {
		pkt->slot->exit.mark++;
		record_save(pkt);
	}
	return ending->action;
}

/* Every way out but a drop emits the bytes as written so far. */
inline_always void leave_written(struct pkt *pkt, u32 action, u32 counter, u32 port, u32 position)
{
	checksums_complete(pkt);
	leave(pkt, action, counter, port, position);
}

#ifdef FUNCTION_PORTS_SIZE
inline_always u32 function_left(struct pkt *pkt, u32 port, u32 counter, u32 position);
#else
#define function_left(...) 0
#endif

inline_always void leave_by(struct pkt *pkt, u32 port, u32 counter, u32 too_big, u32 failed, u32 position)
{
	u64 size = pkt->m.len - (pkt->m.l3 ? pkt->m.l3 : 14);
	long action;

	if (port == 0 || port > PORTS)
		return leave(pkt, XDP_DROP, failed, port, position);
	if (size > HOST->ports[port & 15].mtu)
		return leave(pkt, XDP_DROP, too_big, port, position);
	checksums_complete(pkt);
	if (function_left(pkt, port, counter, position))
		return;
	action = bpf_redirect_map(MAP_FD(MAP_ports), port, XDP_DROP);
	if (action != XDP_REDIRECT)
		return leave(pkt, XDP_DROP, failed, port, position);
	leave(pkt, XDP_REDIRECT, counter, port, position);
}

#endif
