/* A rule, and how it is read. */
#pragma once

#include "mnf.h"

enum { CONTENTS = 8 };

struct content {
	u8 *bytes;
	u32 len;
	bool negated, nocase, relative;
	u32 offset, depth;	/* from the payload's begin; depth 0: to its end */
	int32_t distance;	/* from the end of the content before, when relative */
	u32 within;		/* 0: anywhere behind */
};

struct rule {
	u32 sid;
	bool drop;
	u8 proto;		/* 0: any */
	u16 sport[2], dport[2];	/* from, to */
	u32 n_contents, fast;	/* the content that is searched for first */
	struct content contents[CONTENTS];
	u32 checked;		/* the number of the packet that it was last compared with */
	u64 matched;
	struct rule *next;	/* with the same state of the automaton */
};

/* Null, or what is wrong with the text. */
const char *rule_read(struct rule *rule, const char *text);

/* Whether the contents of the rule are there, in their order and distances. `budget` falls with each step, and ends the search at 0. */
bool rule_holds(const struct rule *rule, const u8 *payload, u32 len, u32 *budget);

static inline u8 fold(u8 c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}
