/* Both ends of the load: `generate` numbers the frames that it sends, `check` counts what arrives and by whom it was handled. */
#include <linux/types.h>

#define WORDS 12 /* of 8 bytes: the frame, of fixed length */
#define MAX_PATTERNS 8
/* Frames under way at most: fewer than a veth's queue holds (256), so that whatever gets lost, the load has not lost it. */
#define WINDOW 128

/* Where everything stands in the frame: Ethernet, IPv4 and UDP are 42 bytes. */
struct load {
	u8 headers[42];
	u64 number;
	u64 marks; /* a byte for each slot of the chain: what the stage there left */
	u64 magic;
} __attribute__((packed));

struct source {
	u64 next;
	u64 limit; /* the number at which to stop */
	u64 lost;  /* no longer waited for */
	u64 frame[WORDS];
};

struct pattern {
	u64 marks;
	u64 received;
};

struct sink {
	u64 magic;
	u64 received;
	u64 numbers; /* their sum */
	u64 mixed;   /* marks that are those of no generation */
	struct pattern patterns[MAX_PATTERNS]; /* unused ones repeat the first */
};

int generate(struct xdp_md *ctx)
{
	struct source *source = (void *)bpf_pseudo_fd(2, 1);
	struct sink *sink = (void *)bpf_pseudo_fd(2, 2);
	u64 *word = (void *)(long)ctx->data;
	struct load *load = (void *)word;

	if ((void *)(word + WORDS) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	if (source->next >= source->limit || source->next - source->lost - *(volatile u64 *)&sink->received >= WINDOW)
		return XDP_DROP;
	/* all of it: the kernel hands out used frames again as they came back */
	for (int i = 0; i < WORDS; i++)
		word[i] = source->frame[i];
	load->number = source->next++;
	return XDP_TX;
}

int check(struct xdp_md *ctx)
{
	struct sink *sink = (void *)bpf_pseudo_fd(2, 2);
	struct load *load = (void *)(long)ctx->data;
	struct pattern *pattern;

	if ((void *)load + WORDS * 8 > (void *)(long)ctx->data_end || load->magic != sink->magic)
		return XDP_PASS;
	__sync_fetch_and_add(&sink->received, 1);
	__sync_fetch_and_add(&sink->numbers, load->number);
	for (int i = 0; i < MAX_PATTERNS; i++) {
		pattern = &sink->patterns[i];
		if (load->marks == pattern->marks) {
			__sync_fetch_and_add(&pattern->received, 1);
			return XDP_DROP;
		}
	}
	__sync_fetch_and_add(&sink->mixed, 1);
	return XDP_DROP;
}
