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

enum table { READER, LEXER, GRAMMAR, TABLES };

static u32 states, n_tables;
static u32 *tables[TABLES];

struct cursor {
	u16 reader, lexer, grammar, ranks;
};

static u32 entries_of(u32 table)
{
	return table == READER ? READER_STATES * 256 : states * COLUMNS;
}

/* A number in hex; `text` moves behind it. */
static u32 hex(const char **text)
{
	u32 value = 0;

	for (;; (*text)++) {
		char c = **text;

		if (c >= '0' && c <= '9')
			value = value << 4 | (u32)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (u32)(c - 'a' + 10);
		else
			return value;
	}
}

/* States are followed unchecked later. */
static bool is_sound(u32 table, u32 value)
{
	if (table == READER)
		return value >> READER_SHIFT < READER_STATES;
	return value >> (table == LEXER ? LEXER_SHIFT : GRAMMAR_SHIFT) < states;
}

/* Runs `value*times`, by columns. */
static const char *read_table(u32 table, const char *text)
{
	u32 n = entries_of(table), columns = table == READER ? 1 : COLUMNS, i = 0, at = 0;

	tables[table] = memory(n * sizeof **tables);
	while (*text) {
		u32 value = hex(&text), times = 1;

		if (*text == '*') {
			text++;
			times = hex(&text);
		}
		if (*text && *text++ != ' ')
			return "a machine is no runs of numbers";
		if (times > n - i || !is_sound(table, value))
			return "a machine leads nowhere";
		for (; times; times--, i++) {
			tables[table][at] = value;
			at += columns;
			if (at >= n)	/* on to the next column */
				at -= n - 1;
		}
	}
	return i == n ? 0 : "a machine is cut off";
}

/* First the number of states, then each table (vm/manifest.py). */
ADD(grammar)
{
	if (states)
		return n_tables < TABLES ? read_table(n_tables++, item) : "a machine has too many tables";
	for (; *item >= '0' && *item <= '9' && states < 10000; item++)
		states = states * 10 + (u32)(*item - '0');
	return !*item && states && states <= 8192 ? 0 : "a machine has 1 to 8192 states";
}

READY()
{
	return n_tables == TABLES ? 0 : "sqli_stream.grammar is missing";
}

static void take_token(struct cursor *at, u32 token)
{
	u32 next = tables[GRAMMAR][at->grammar * COLUMNS + (token & (COLUMNS - 1))];

	at->ranks |= (u16)(next & (DOUBT | ATTACK));
	at->grammar = (u16)(next >> GRAMMAR_SHIFT);
}

static void step(struct cursor *at, u8 byte)
{
	u32 class = tables[READER][at->reader * 256 + byte];
	u32 next = tables[LEXER][at->lexer * COLUMNS + (class & (COLUMNS - 1))];

	at->reader = (u16)(class >> READER_SHIFT);
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
