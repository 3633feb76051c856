/* Ports that lead to network functions of others: what the agent says of them, and the way past one that doesn't serve. */
#ifndef EBPFNF_FUNCTION_H
#define EBPFNF_FUNCTION_H

#define LED_PAST 0x100		/* beside the port's number in the ingress slot: the function did not see this packet */

/* Written while packets run, a word at a time. */
struct function_port {
	u32 serves;
	u16 addressed;		/* whether frames to it get `mac` as their destination */
	struct mac_addr mac;
	u32 zero;
};

_Static_assert(16 * sizeof(struct function_port) == FUNCTION_PORTS_SIZE, "the map must hold one for each port");

#define FUNCTION_PORTS ((volatile const struct function_port *)MAP_VALUE(MAP_functions))

/* Whether the packet is on its way to the function behind this port. */
inline_always u32 function_takes(struct pkt *pkt, u32 port)
{
	volatile const struct function_port *function = &FUNCTION_PORTS[port & 15];
	struct mac_addr *to = bytes_at(pkt, 0, sizeof(*to));

	if (!function->serves || !to)
		return 0;
	if (function->addressed)
		for (u32 i = 0; i < sizeof(to->b); i++)
			to->b[i] = function->mac.b[i];
	return bpf_redirect_map(MAP_FD(MAP_ports), port, XDP_DROP) == XDP_REDIRECT;
}

/* As if the function had given the packet back as it is: it enters the chains of the port `back`. Returns where that fails. */
inline_always void function_past(struct pkt *pkt, u32 back)
{
	u64 cpu = bpf_get_smp_processor_id() & HOST->cpu_mask;

	*(u32 *)(MAP_VALUE(MAP_ingress) + cpu * 64) = back | LED_PAST;
	((void (*)(void *, void *, u32))BPF_FUNC_tail_call)(pkt->ctx, MAP_FD(MAP_chain), 0);
}

#endif
