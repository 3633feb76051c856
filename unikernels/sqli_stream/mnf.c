/*
 * The body of sqli_check, as it runs in XDP, over a whole request: its head, and its body where that is a form. The body reads bytes into its
 * scratch and matches what it has read; both can be done again and again. What it remembers from one time to the next, the part of the
 * scratch from `plain` on, is kept for each connection; the rest is learnt once.
 */
#include "manifest.h"

enum { HTTP_REQUEST = 1, ON_UNSURE = 0 };

struct pkt {
	const u8 *at, *end;
	struct {
		u32 http, pl_len;
	} m;
};

static struct scratch all;

enum { REMEMBERED = offsetof(struct scratch, plain), MEMORY = sizeof(struct scratch) - REMEMBERED };

static u8 fresh[MEMORY];	/* before the first byte */

static inline int next_byte(struct pkt *pkt)
{
	return pkt->at < pkt->end ? *pkt->at++ : -1;
}

static inline u64 opaque(u64 x)
{
	return x;
}

/* What the body does with a packet is not called. */
static int first_segment(struct pkt *pkt) __attribute__((unused));

#undef MNF
#define MNF(...) static int first_segment(__VA_ARGS__)
#define LOCAL(name) sqli_check_##name
#define TO(outcome) ON_UNSURE
#define settle(pkt)
#define scratch (&all)
#define payload_byte(pkt, i) next_byte(pkt)
#include <sqli_check/mnf.c>
#undef scratch

READY()
{
	struct pkt pkt = {0};

	sqli_check_begin(&pkt);
	memcpy(fresh, (u8 *)&all + REMEMBERED, MEMORY);
	return 0;
}

static int read_bytes(void *memory, const u8 *bytes, u32 len, bool ends)
{
	struct pkt pkt = {.at = bytes, .end = bytes + len};

	memcpy((u8 *)&all + REMEMBERED, memory, MEMORY);
	do {
		all.lexemes = 0;
		sqli_check_read(&pkt);	/* until it has read enough to be matched */
		if (ends && pkt.at == pkt.end) {
			all.whole = 1;
			sqli_check_end(&pkt);
		}
		sqli_check_match(&pkt);
	} while (pkt.at < pkt.end);
	memcpy(memory, (u8 *)&all + REMEMBERED, MEMORY);
	return all.hit ? DROP(sql_injection) : NEXT;
}

static int part(void *memory, enum part part, const u8 *bytes, u32 len)
{
	int verdict;

	switch (part) {
	case REQUEST:
		memcpy(memory, fresh, MEMORY);
		return NEXT;
	case HEAD:
	case FORM:
		return read_bytes(memory, bytes, len, false);
	case REQUEST_END:
		verdict = read_bytes(memory, bytes, 0, true);
		if (verdict != NEXT || !all.doubt)
			return verdict;
		if (cfg.on_unsure == ON_UNSURE_DROP)
			return DROP(suspicious);
		COUNT(unsure, 1);
		return NEXT;
	default:
		return NEXT;
	}
}

STREAM = {.size = MEMORY, .part = part};
