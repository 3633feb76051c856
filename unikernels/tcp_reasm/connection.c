#include "connection.h"

static struct connection **buckets;
static struct connection *all;
static u32 n_all, n_buckets, memory_size;
static u64 seed;

static u32 bucket_of(const struct ends *ends)
{
	const u8 *bytes = (const u8 *)ends;
	u64 hash = seed;

	for (u32 i = 0; i < sizeof *ends; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	return (u32)(hash ^ hash >> 32) & (n_buckets - 1);
}

void connections_begin(u32 n, u32 memory_of_each)
{
	memory_size = memory_of_each;
	n_all = n;
	all = memory(n * sizeof *all);
	/* Blocks of their own: the sanitizer sees where one ends. */
	for (u32 i = 0; i < n; i++) {
		all[i].bytes = memory(WINDOW);
		all[i].memory = memory(memory_size);
	}
	for (n_buckets = 1; n_buckets < n; n_buckets *= 2)
		;
	buckets = memory(n_buckets * sizeof *buckets);
	seed = 0xcbf29ce484222325 ^ now() * 0x9e3779b97f4a7c15;
}

struct connection *connection_find(const struct ends *ends)
{
	struct connection *c = buckets[bucket_of(ends)];

	while (c && memcmp(&c->ends, ends, sizeof *ends))
		c = c->next;
	return c;
}

/* How readily it gives its place: 0 not at all. */
static u32 readiness(const struct connection *c, u64 idle)
{
	if (!c->used)
		return 4;
	if (c->closed)
		return 3;
	if (!c->data)
		return 2;	/* a handshake alone takes nobody's place */
	return now() - c->seen > idle;
}

static void forget(struct connection *c)
{
	struct connection **link = &buckets[bucket_of(&c->ends)];

	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
}

struct connection *connection_new(const struct ends *ends, u64 idle)
{
	struct connection *c = 0, **bucket = &buckets[bucket_of(ends)];
	u32 best = 0;

	for (u32 i = 0; i < n_all && best < 4; i++) {
		u32 ready = readiness(&all[i], idle);

		if (ready > best || (ready && ready == best && all[i].seen < c->seen))
			c = &all[i], best = ready;
	}
	if (!c)
		return 0;
	if (c->used)
		forget(c);
	memset(c, 0, offsetof(struct connection, http));
	c->used = true;
	c->ends = *ends;
	c->next = *bucket;
	*bucket = c;
	return c;
}

void connection_reset(struct connection *c, u32 start)
{
	c->start = c->first = c->ahead = c->acked = start;
	c->closed = c->adopted = c->blocked = c->heard = c->data = c->scaled = false;
	memset(&c->http, 0, sizeof c->http);
	memset(c->present, 0, sizeof c->present);
	memset(c->memory, 0, memory_size);
}

static bool is_present(const struct connection *c, u32 seq)
{
	return c->present[seq % WINDOW / 8] >> seq % 8 & 1;
}

enum accepted connection_take(struct connection *c, u32 seq, const u8 *bytes, u32 len)
{
	u32 skipped = 0;

	if ((int32_t)(seq + len - c->first) > WINDOW)
		return OUTSIDE;
	if ((int32_t)(seq - c->first) < 0) {
		skipped = least(c->first - seq, len);
		if (!c->heard || (int32_t)(seq + skipped - c->acked) > 0)
			return OUTSIDE;	/* the server may lack it, and we can't compare */
	}
	for (u32 i = skipped; i < len; i++) {
		u32 place = seq + i;
		bool kept = (int32_t)(place - c->ahead) < 0 || is_present(c, place);

		if (kept && c->bytes[place % WINDOW] != bytes[i])
			return CONTRADICTION;
	}
	for (u32 i = skipped; i < len; i++) {
		u32 place = seq + i;

		if ((int32_t)(place - c->ahead) < 0)
			continue;
		c->bytes[place % WINDOW] = bytes[i];
		c->present[place % WINDOW / 8] |= (u8)(1 << place % 8);
	}
	return TAKEN;
}

u32 connection_read(struct connection *c, const u8 **bytes)
{
	u32 start = c->ahead, n = 0;

	while (n < WINDOW - start % WINDOW && is_present(c, start + n)) {
		c->present[(start + n) % WINDOW / 8] &= (u8)~(1 << (start + n) % 8);
		n++;
	}
	*bytes = c->bytes + start % WINDOW;
	c->ahead += n;
	/* A server that is never heard: keep half for comparison. */
	if (!c->heard && (int32_t)(c->ahead - c->first) > WINDOW / 2)
		c->start = c->first = c->ahead - WINDOW / 2;
	return n;
}

void connection_acked(struct connection *c, u32 ack)
{
	if ((int32_t)(ack - c->ahead) > 0 || (c->heard && (int32_t)(ack - c->acked) < 0))
		return;
	c->heard = true;
	c->acked = ack;
	if ((int32_t)(ack - c->first) > 0)
		c->first = ack;
}
