/* What drives a program under measurement: `again` in memory, frame after frame by a tail call; `emit` and `arrive` over cables. */
#include <linux/types.h>

#define TEMPLATES 64
#define HEAD 128 /* bytes of a frame that are written anew for each packet */
#define KEPT 64	 /* of the frames that arrived: for whoever checks them */

struct pattern {
	u64 length;
	u64 source;   /* offset of the last 16 bits of the source address */
	u64 check_l3; /* of IPv4's checksum; 0: none */
	u64 l4;	      /* of the ports */
	u64 check_l4; /* of its checksum */
	u16 head[HEAD / 2];
};

struct plan {
	u64 next;
	u64 flows;
	struct pattern patterns[TEMPLATES];
};

struct sink {
	u64 packets;
	u64 bytes;
	u64 lengths[KEPT];
	u8 kept[KEPT][HEAD];
};

static inline __attribute__((always_inline)) u16 fold(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* The next packet: its flow's template, with the flow's number in source address and port. */
static inline __attribute__((always_inline)) struct pattern *next(struct xdp_md *ctx)
{
	struct plan *plan = (void *)bpf_pseudo_fd(2, 1);
	u64 number = plan->next++, flow;
	u16 *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u64 source, check_l3, l4, check_l4;
	struct pattern *pattern;
	u32 delta;
	u16 port;

	if (plan->flows <= 1)
		flow = 0;
	else
		flow = number % plan->flows;
	pattern = &plan->patterns[flow & (TEMPLATES - 1)];
	if ((void *)at + 64 > (void *)end)
		return 0;
	if ((void *)at + HEAD <= (void *)end) {
		for (u32 i = 0; i < HEAD / 8; i++)
			((u64 *)at)[i] = ((u64 *)pattern->head)[i];
	} else {
		for (u32 i = 0; i < 64 / 8; i++)
			((u64 *)at)[i] = ((u64 *)pattern->head)[i];
	}
	source = pattern->source & 63;
	check_l3 = pattern->check_l3 & 63;
	l4 = pattern->l4 & 63;
	check_l4 = pattern->check_l4 & 127;
	if ((void *)at + source + 2 > (void *)end || (void *)at + l4 + 2 > (void *)end || (void *)at + check_l4 + 2 > (void *)end ||
	    (void *)at + check_l3 + 2 > (void *)end)
		return 0;
	port = bpf_htons(flow & 0x3fff);
	flow = bpf_htons(flow);
	*(u16 *)((void *)at + source) += flow;
	*(u16 *)((void *)at + l4) += port; /* templates have zeros there: nothing is carried */
	delta = (u32)flow;
	if (check_l3) {
		u16 *check = (void *)at + check_l3;

		*check = ~fold((u16)~*check + delta);
	}
	{
		u16 *check = (void *)at + check_l4;

		*check = ~fold((u16)~*check + delta + port);
	}
	return pattern;
}

int again(struct xdp_md *ctx)
{
	if (!next(ctx))
		return XDP_ABORTED;
	((void (*)(void *, void *, u32))BPF_FUNC_tail_call)(ctx, (void *)bpf_pseudo_fd(1, 3), 0);
	return XDP_ABORTED;
}

int nothing(struct xdp_md *ctx)
{
	return XDP_DROP;
}

int emit(struct xdp_md *ctx)
{
	struct pattern *pattern = next(ctx);
	u64 size = ctx->data_end - ctx->data;

	if (!pattern)
		return XDP_ABORTED;
	if (pattern->length < size && bpf_xdp_adjust_tail(ctx, (int)pattern->length - (int)size))
		return XDP_ABORTED;
	return XDP_TX;
}

int arrive(struct xdp_md *ctx)
{
	struct sink *sink = (void *)bpf_pseudo_fd(2, 2);
	u64 *from = (void *)(long)ctx->data;
	u64 size = ctx->data_end - ctx->data, number;

	if ((void *)from + 64 > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (*(u16 *)((void *)from + 12) != bpf_htons(0x0800) && *(u16 *)((void *)from + 12) != bpf_htons(0x86dd))
		return XDP_PASS;
	if (*(u16 *)((void *)from + 12) == bpf_htons(0x86dd) && *((u8 *)from + 20) != 6 && *((u8 *)from + 20) != 17)
		return XDP_PASS; /* what hosts say among themselves: neighbours, routers, groups */
	number = sink->packets++;
	sink->bytes += size;
	if (number < KEPT) {
		u64 *to = (void *)sink->kept[number & (KEPT - 1)];

		sink->lengths[number & (KEPT - 1)] = size;
		for (u32 i = 0; i < 8; i++)
			to[i] = from[i];
		if ((void *)from + HEAD <= (void *)(long)ctx->data_end)
			for (u32 i = 8; i < HEAD / 8; i++)
				to[i] = from[i];
	}
	return XDP_DROP;
}

int redirect(struct xdp_md *ctx)
{
	return bpf_redirect_map((void *)bpf_pseudo_fd(1, 4), 2, XDP_ABORTED);
}
