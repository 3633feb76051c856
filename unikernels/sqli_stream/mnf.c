/*
 * The machine of sqli_check (tables/automaton) over a whole request: its head, and its body where that is a form. What it remembers of a
 * connection is a state for each of its three parts, so a request may be as long as it likes.
 */
#include "manifest.h"

enum {
	READER_STATES = 32,
	COLUMNS = 64,		/* classes of characters, and tokens */
	READER_SHIFT = 6,	/* entries: state << shift | class, */
	LEXER_SHIFT = 12,	/* state << shift | token << 6 | token, */
	GRAMMAR_SHIFT = 2,	/* state << shift | rank */
	DOUBT = 1,
	ATTACK = 2,
};

static u32 states;
static const u16 *reader, *grammar;
static const u32 *lexer;

struct cursor {
	u16 reader, lexer, grammar, ranks;
};

/* States are followed unchecked later. */
static bool sound(void)
{
	for (u32 i = 0; i < READER_STATES * 256; i++)
		if (reader[i] >> READER_SHIFT >= READER_STATES)
			return false;
	for (u32 i = 0; i < states * COLUMNS; i++)
		if (lexer[i] >> LEXER_SHIFT >= states || (u32)grammar[i] >> GRAMMAR_SHIFT >= states)
			return false;
	return true;
}

TAKE(grammar)
{
	u32 entries, readers = READER_STATES * 256 * sizeof *reader;
	u8 *copy;

	if (len < 4)
		return "a machine is cut off";
	memcpy(&states, bytes, 4);
	if (states > 8192 || len != 4 + readers + states * COLUMNS * (sizeof *lexer + sizeof *grammar))
		return "a machine is cut off";
	copy = memory(len);	/* aligned */
	memcpy(copy, bytes + 4, len - 4);
	entries = states * COLUMNS;
	reader = (const void *)copy;
	lexer = (const void *)(copy + readers);
	grammar = (const void *)(copy + readers + entries * sizeof *lexer);
	return sound() ? 0 : "a machine leads nowhere";
}

READY()
{
	return states ? 0 : "sqli_stream.grammar is missing";
}

static void take_token(struct cursor *at, u32 token)
{
	u16 next = grammar[at->grammar * COLUMNS + (token & (COLUMNS - 1))];

	at->ranks |= next & (DOUBT | ATTACK);
	at->grammar = next >> GRAMMAR_SHIFT;
}

static void step(struct cursor *at, u8 byte)
{
	u16 class = reader[at->reader * 256 + byte];
	u32 next = lexer[at->lexer * COLUMNS + (class & (COLUMNS - 1))];

	at->reader = class >> READER_SHIFT;
	at->lexer = (u16)(next >> LEXER_SHIFT);
	if (next & 0xfff) {
		take_token(at, next >> 6);
		take_token(at, next);
	}
}

static int part(void *memory, enum part part, const u8 *bytes, u32 len)
{
	struct cursor *at = memory;

	switch (part) {
	case REQUEST:
		memset(at, 0, sizeof *at);
		return NEXT;
	case HEAD:
	case FORM:
		for (u32 i = 0; i < len; i++)
			step(at, bytes[i]);
		return at->ranks & ATTACK ? DROP(sql_injection) : NEXT;
	case REQUEST_END:
		step(at, '\n');
		if (at->ranks & ATTACK)
			return DROP(sql_injection);
		if (!at->ranks)
			return NEXT;
		if (cfg.on_unsure == ON_UNSURE_DROP)
			return DROP(suspicious);
		COUNT(unsure, 1);
		return NEXT;
	default:
		return NEXT;
	}
}

STREAM = {.size = sizeof(struct cursor), .part = part};
