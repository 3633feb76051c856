/* The packet as a body sees it, and how its record crosses from one program to the next. */
#ifndef EBPFNF_PACKET_H
#define EBPFNF_PACKET_H

/* What the agent measured on this host (const map; ConstLayout in model/program.py names the offsets). */
struct host {
	u32 cpu_mask;
	u32 flags;
	u64 tick_ns;
	struct {
		u32 ifindex;
		u32 mtu;
	} ports[16];
};

#define HOST ((const struct host *)MAP_VALUE(MAP_const))
#define HOST_RECORDS 1u		/* write the exit record: private copies only */
#define HOST_VIRTUAL_CLOCK 2u	/* take the time from the slot, not from the kernel */


/* How the packet's way through this program ends: one place counts and returns it, whatever way led there. */
struct ending {
	u32 action;
	u32 counter;
	u32 port;
	u32 position;		/* index + 1; 0: the framework itself */
};

struct exit_record {
	struct ending ending;
	u64 mark;		/* counts the packets that ended */
};

/* One CPU's own memory. XDP runs with bottom halves off and is never nested, so nobody else writes here. */
struct slot {
	struct exit_record exit;
	u64 clock;
	u32 next;		/* the position at which the next segment begins */
	u64 record[RECORD_WORDS];
	u64 counts[COUNTERS];
	u64 scratch[SCRATCH_WORDS];
	u64 fib[8];		/* struct bpf_fib_lookup: the stack is too small for it */
	u64 making[MAKING_WORDS];	/* and for the entry that a table is given */
#ifdef FLOW_CACHE
	u64 flow_entry;		/* where in the CPU's part of the flow cache the packet's entry is */
#endif
};

typedef u64 any_word __attribute__((may_alias));

struct pkt {
	struct xdp_md *ctx;
	struct slot *slot;
	volatile any_word *anywhere;	/* for settle() */
	u64 veil;
	/* From here on the record travels from segment to segment. */
	u64 now;
	struct flow flow;
	u64 csum_l3;		/* one's complement sums of what setters changed, for the exit */
	u64 csum_l4;
	struct md m;
};

#define RECORD_OF(pkt) ((void *)&(pkt)->now)
#define RECORD_SIZE (sizeof(struct pkt) - offsetof(struct pkt, now))

_Static_assert(RECORD_SIZE == 8 * RECORD_WORDS, "the slot must hold the record");
_Static_assert(sizeof(struct slot) <= SLOT_SIZE, "the slot must fit");

/* The same all through a program: asked for once, whatever is written in between. The mask's address is a constant to the compiler, not
   an act as MAP_VALUE is, and the load needs no more than it; so this is done once too. */
static u64 (*const cpu_number)(void) __attribute__((const)) = (void *)BPF_FUNC_get_smp_processor_id;

inline_always u64 cpu_here(void)
{
	u64 constants, mask;

	asm("%0 = %1 ll" : "=r"(constants) : "i"(MAP_const));
	asm("%0 = *(u32 *)(%1 + %2)" : "=r"(mask) : "r"(constants), "i"(offsetof(struct host, cpu_mask)));
	return cpu_number() & mask;
}

inline_always struct slot *slot_here(void)
{
	return MAP_VALUE(MAP_meta) + cpu_here() * SLOT_SIZE;
}

inline_always void record_save(struct pkt *pkt)
{
	__builtin_memcpy(pkt->slot->record, RECORD_OF(pkt), RECORD_SIZE);
}

inline_always void record_load(struct pkt *pkt)
{
	memory_barrier();
	__builtin_memcpy(RECORD_OF(pkt), pkt->slot->record, RECORD_SIZE);
}

/* From here on the verifier no longer knows how the record came about, so that what follows is checked once, and not for each way that
   led here. */
inline_always void settle(struct pkt *pkt)
{
	*pkt->anywhere = (u64)(long)pkt->slot;
}

/* The beginning of a program. `anywhere` is the veil; the verifier knows no more of it than that it lies in the record or in the veil before
   it: the highest byte of the action by which the CPU's last packet left is nought. */
inline_always void pkt_begin(struct pkt *pkt, struct xdp_md *ctx, struct slot *slot)
{
	u64 word = ((volatile u8 *)&slot->exit.ending.action)[3];

	as_checked(word);
	word = word * (1 + RECORD_WORDS) >> 8;
	as_checked(word);
	pkt->ctx = ctx;
	pkt->slot = slot;
	pkt->anywhere = (any_word *)&pkt->veil + word;
}

inline_always u64 clock_now(const struct slot *slot)
{
	if (HOST->flags & HOST_VIRTUAL_CLOCK)
		return slot->clock;
	return bpf_jiffies64() * HOST->tick_ns;
}

/* The bytes at an offset, or 0 where the frame ends before them. Offsets come from metadata: bound them for the verifier. */
inline_always void *bytes_at(const struct pkt *pkt, u64 offset, u64 size)
{
	void *data = (void *)(long)pkt->ctx->data;
	void *end = (void *)(long)pkt->ctx->data_end;
	void *bytes;

	as_checked(offset);
	if (offset > 0x7fff)
		return 0;
	bytes = data + offset;
	as_checked(bytes);
	if (bytes + size > end)
		return 0;
	__builtin_assume(bytes != 0);	/* so that who asks whether it is there asks no more than that */
	return bytes;
}

#endif
