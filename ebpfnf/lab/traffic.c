/* Both ends of the load: `generate` numbers the frames that it sends, `check` counts what arrives and by whom it was handled. */
#include <linux/types.h>

#define WORDS 12 /* of 8 bytes: the frame, of fixed length */
#define MAX_SLOTS 8

/* Where everything stands in the frame: Ethernet, IPv4 and UDP are 42 bytes. */
struct load {
	u8 headers[42];
	u64 number;
	u8 marks[MAX_SLOTS]; /* by each slot of the chain the mark of its generation; 0: nobody was there */
	u64 magic;
} __attribute__((packed));

struct source {
	u64 next;
	u64 frame[WORDS];
};

struct sink {
	u64 slots; /* in use, of MAX_SLOTS */
	u64 magic;
	u64 received;
	u64 numbers; /* their sum */
	u64 mixed;   /* marks differ */
	u64 marked[256];
};

int generate(struct xdp_md *ctx)
{
	struct source *source = (void *)bpf_pseudo_fd(2, 1);
	u64 *word = (void *)(long)ctx->data;
	struct load *load = (void *)word;

	if ((void *)(word + WORDS) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
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
	u64 mixed = 0;

	if ((void *)load + WORDS * 8 > (void *)(long)ctx->data_end || load->magic != sink->magic)
		return XDP_PASS;
	for (int i = 1; i < MAX_SLOTS; i++)
		if (i < sink->slots && load->marks[i] != load->marks[0])
			mixed = 1;
	__sync_fetch_and_add(&sink->received, 1);
	__sync_fetch_and_add(&sink->numbers, load->number);
	__sync_fetch_and_add(&sink->mixed, mixed);
	__sync_fetch_and_add(&sink->marked[load->marks[0]], 1);
	return XDP_DROP;
}
