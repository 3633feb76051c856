/* Lookups in directly addressed tables (ebpfnf/tables/direct lays them out). */
#ifndef EBPFNF_DIRECT_H
#define EBPFNF_DIRECT_H

#define DIRECT_NODE (1ULL << 31)
#define DIRECT_TAIL (1ULL << 30)
#define DIRECT_PLACE (DIRECT_TAIL - 1)
#define DIRECT_K1 0x9e3779b97f4a7c15ULL
#define DIRECT_K2 0xbf58476d1ce4e5b9ULL

/* A lone bit times this has a number of its own in its six highest bits. */
#define DIRECT_DE_BRUIJN 0x03f79d71b4cb0a89ULL

struct direct_tail {
	u64 value[2];
	u64 mask[2];
	u32 hit;
	u32 miss;
};

/* The word that says which half is live is read once a lookup: what it says holds until the packet is through. */
inline_always u64 direct_state(const void *table)
{
	return *(const volatile u64 *)table;
}

/* Nought, read from the header where nothing is ever written: `|` with it leaves a value as it is and the verifier without a clue. */
inline_always u64 direct_zero(const void *table)
{
	return *(const volatile u64 *)(table + 8);
}

/* What lies at an offset up to `last`, 0 at 0 and beyond. LLVM 19 would join the comparisons, or add before it compares. */
inline_always void *direct_at(void *area, u64 at, u64 last)
{
	as_checked(at);
	if (!at)
		return 0;
	as_checked(at);
	if (at > last)
		return 0;
	as_checked(at);
	return area + at;
}

/* A cell at an offset in the half, 0 beyond it, which no table that the agent made has. */
inline_always u64 direct_cell(const void *half, u64 at, u64 size)
{
	as_checked(at);
	if (at > size - 4)
		return 0;
	return *(const u32 *)(half + at);
}

inline_always u64 direct_mac(struct mac_addr address)
{
	union { u64 word; struct mac_addr address; } mac = { .address = address };

	return mac.word;
}

/* From a root's cell to the place of what the longest prefix says: tables/direct/trie.py. Below a root of IPv4 all have the same
   first half. */
inline_always u64 direct_tail(const void *half, u64 cell, u64 size, u32 v4, u64 high, u64 low)
{
	const struct direct_tail *tail;
	u64 at = (cell & DIRECT_PLACE) << 3;

	if (!(cell & DIRECT_TAIL))
		return cell & DIRECT_PLACE;
	as_checked(at);
	if (at > size - sizeof(*tail))
		return 0;
	tail = half + at;
	if ((v4 ? 0 : (high ^ tail->value[0]) & tail->mask[0]) | ((low ^ tail->value[1]) & tail->mask[1]))
		return tail->miss;
	return tail->hit;
}

/* Four bits a step, at most (128 - bits) / 4 steps below the root. */
inline_always u64 direct_find_wide(const void *half, u64 root, u32 bits, u64 size, u64 high, u64 low)
{
	u64 a = __builtin_bswap64(high), b = __builtin_bswap64(low);
	u64 cell = *(const u32 *)(half + root + (a >> (64 - bits) << 2));

	a = a << bits | b >> (64 - bits);
	b <<= bits;
	for (u32 step = 0; step < (128 - bits) / 4; step++) {
		if (!(cell & DIRECT_NODE))
			break;
		cell = direct_cell(half, ((cell & ~DIRECT_NODE) << 6) + (a >> 60 << 2), size);
		a = a << 4 | b >> 60;
		b <<= 4;
	}
	return direct_tail(half, cell, size, 0, high, low);
}

/* Eight bits a step below a root of eight, else four. */
inline_always u64 direct_find_v4(const void *half, u64 root, u32 bits, u64 size, const struct ip_addr *addr)
{
	u64 a = (u64)bpf_ntohl(addr->w[3]) << 32;
	u64 cell = *(const u32 *)(half + root + (a >> (64 - bits) << 2));
	const u32 stride = bits == 8 ? 8 : 4;

	a <<= bits;
	for (u32 step = 0; step < (32 - bits) / stride; step++) {
		if (!(cell & DIRECT_NODE))
			break;
		cell = direct_cell(half, ((cell & ~DIRECT_NODE) << 6) + (a >> (64 - stride) << 2), size);
		a <<= stride;
	}
	return direct_tail(half, cell, size, 1, 0, addr->q[1]);
}

/* The root of IPv4, behind it that of IPv6. */
inline_always u64 direct_find(const void *half, u64 root, u32 bits, u64 size, const struct ip_addr *addr)
{
	if (ip_is_v4(addr))
		return direct_find_v4(half, root, bits, size, addr);
	return direct_find_wide(half, root + (4ULL << bits), bits, size, addr->q[0], addr->q[1]);
}

inline_always u64 direct_mix(u64 h, u64 word)
{
	h = (h ^ word) * DIRECT_K1;
	return h ^ h >> 32;
}

inline_always u64 direct_mixed(u64 one, u64 other)
{
	u64 h = direct_mix(one, other) * DIRECT_K2;

	return h ^ h >> 29;
}

/* The lowest bit that is set; there is one. */
inline_always u64 direct_lowest(u64 bits)
{
	bits = (bits & -bits) - 1;
	as_checked(bits);	/* LLVM 19 would know this as cttz, and put a table into a global for it */
	bits -= bits >> 1 & 0x5555555555555555ULL;
	bits = (bits & 0x3333333333333333ULL) + (bits >> 2 & 0x3333333333333333ULL);
	bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return bits * 0x0101010101010101ULL >> 56 & 63;
}

/* States of entries that packets make: tables/direct/sets.py. */
#define DIRECT_VALID 1ULL
#define DIRECT_BUSY 2ULL
#define DIRECT_SAME (~0xffffffffULL | DIRECT_VALID | DIRECT_BUSY)

/* The seed of a table's hash; the first packet draws it. */
inline_always u64 direct_seed(void *table)
{
	u64 seed = direct_state(table);

	if (!seed) {
		seed = (u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32() | 1;
		__sync_val_compare_and_swap((u64 *)table, 0, seed);
		seed = direct_state(table);
	}
	return seed;
}

#endif
