/* mNFs beside the path get copies of packets, on another CPU. A ring is filled by one CPU alone, and emptied by one reader alone, so
 * that it needs no lock: a copy's number says when it is whole, `taken` says when its place is free. */
#ifndef EBPFNF_BESIDE_H
#define EBPFNF_BESIDE_H

struct copy {
	u64 number;		/* from 1: of the packets that this CPU copied */
	u32 position;
	u32 size;		/* of the frame's bytes here */
	u64 record[COPY_WORDS];	/* its beginning, as far as anybody here uses it */
	u8 bytes[COPY_BYTES];
} __attribute__((aligned(64)));

/* What the one writes is apart from what the other writes: a cache line that both wrote would go back and forth with each packet. */
struct ring {
	u64 put;
	u64 known;		/* how many were taken, when it was last looked at */
	u64 apart[6];
	u64 taken;
	u64 end[7];
};

struct reader {
	u64 turn;		/* the ring that is being read */
	u64 idle;		/* rings found empty, one after the other */
	u64 end[6];
	struct slot slot;	/* what the CPU's own is to packets on their path */
};

_Static_assert(sizeof(struct copy) == COPY_SIZE, "the map must hold them");
_Static_assert(sizeof(struct ring) == 128, "the map must hold it");
_Static_assert(sizeof(struct reader) <= 64 + SLOT_SIZE, "the map must hold it");

/* By their numbers, which not every bcc knows. */
#define xdp_load_bytes ((long (*)(void *, u32, void *, u32))189)
#define xdp_store_bytes ((long (*)(void *, u32, const void *, u32))190)

#define COPY_OF(ring, cpu, number) ((struct copy *)(MAP_VALUE(MAP_copies) + (cpu) * COPIES * sizeof(struct copy)) + ((number) & (COPIES - 1)))

/* The packet goes on whether there was room for its copy or not. */
inline_always void copy_put(struct pkt *pkt, u32 position, u32 lost)
{
	u64 cpu = cpu_here();
	struct ring *ring = MAP_VALUE(MAP_beside) + cpu * sizeof(struct ring);
	struct copy *copy = COPY_OF(ring, cpu, ring->put);

	if (ring->put - ring->known >= COPIES) {
		ring->known = *(volatile u64 *)&ring->taken;
		if (ring->put - ring->known >= COPIES)
			return count(pkt, lost);
	}
#if COPY_BYTES
	{
		u64 size = (u64)pkt->ctx->data_end - (u64)pkt->ctx->data;

#ifndef COPY_WHOLE
		if (size > COPY_BYTES)
			size = COPY_BYTES;
#endif
		as_checked(size);
		if (size - 1 >= COPY_BYTES)
			return count(pkt, lost);
		as_checked(size);
		if (xdp_load_bytes(pkt->ctx, 0, copy->bytes, size))
			return count(pkt, lost);
		copy->size = size;
	}
#endif
	copy->position = position;
	__builtin_memcpy(copy->record, RECORD_OF(pkt), sizeof(copy->record));
	memory_barrier();
	ring->put++;
	*(volatile u64 *)&copy->number = ring->put;
}

/* Makes of the next copy what its CPU had: the record, and the frame as far as it was copied. 0: this ring is empty. */
inline_always u32 copy_take(struct pkt *pkt, struct reader *reader)
{
	u64 cpu = reader->turn & HOST->cpu_mask;
	struct ring *ring = MAP_VALUE(MAP_beside) + cpu * sizeof(struct ring);
	u64 taken = ring->taken;
	struct copy *copy = COPY_OF(ring, cpu, taken);
	u32 position;
	u64 size;

	if (*(volatile u64 *)&copy->number != taken + 1) {
		reader->turn = cpu + 1;
		return 0;
	}
	if (!(taken & 63))
		reader->turn = cpu + 1;	/* a busy CPU must not keep the others waiting */
	memory_barrier();
	__builtin_memcpy(RECORD_OF(pkt), copy->record, sizeof(copy->record));
	position = copy->position;
#if COPY_BYTES
	size = copy->size;
	as_checked(size);
	if (size - 1 < COPY_BYTES) {
		as_checked(size);
		xdp_store_bytes(pkt->ctx, 0, copy->bytes, size);
	}
#endif
	memory_barrier();
	*(volatile u64 *)&ring->taken = taken + 1;
	return position;
}

#endif
