/* The far end while a deployment is swapped: how many frames came, and how far apart. */
#include <linux/types.h>

struct seen {
	u64 packets;
	u64 last;	/* ns; 0: the next one begins a run */
	u64 longest;
};

int timed(struct xdp_md *ctx)
{
	struct seen *seen = (void *)bpf_pseudo_fd(2, 2);
	u8 *frame = (void *)(long)ctx->data;
	u64 now;

	if ((void *)frame + 34 > (void *)(long)ctx->data_end || *(u16 *)(frame + 12) != bpf_htons(0x0800))
		return XDP_PASS;
	now = bpf_ktime_get_ns();
	if (seen->last && now - seen->last > seen->longest)
		seen->longest = now - seen->last;
	seen->last = now;
	seen->packets++;
	return XDP_DROP;
}
