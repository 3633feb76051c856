#include "automaton.h"

enum { STATES = 65535 };

static u8 class_of[256];	/* bytes that no pattern tells apart are one class; class 0 is in no pattern */
static u32 n_classes;
static u16 *edges;		/* state after state, a column for each class */
static u16 *shorter;		/* the longest state with rules that is a suffix of this one */
static u16 *fallback;
static struct rule **found;

static u16 *edge(u32 state, u32 class)
{
	return &edges[(size_t)state * n_classes + class];
}

static u32 classify(const struct rule *rules, u32 n)
{
	u32 states = 1;

	n_classes = 1;
	for (u32 i = 0; i < n; i++) {
		const struct content *content = &rules[i].contents[rules[i].fast];

		states += content->len;
		for (u32 k = 0; k < content->len; k++) {
			u8 c = fold(content->bytes[k]);

			if (!class_of[c])
				class_of[c] = (u8)n_classes++;
		}
	}
	for (u32 c = 'A'; c <= 'Z'; c++)
		class_of[c] = class_of[c | 0x20];
	return states;
}

static u32 add(struct rule *rule, u32 n_states)
{
	const struct content *content = &rule->contents[rule->fast];
	u32 state = 0;

	for (u32 k = 0; k < content->len; k++) {
		u16 *next = edge(state, class_of[fold(content->bytes[k])]);

		if (!*next)
			*next = (u16)n_states++;
		state = *next;
	}
	rule->next = found[state];
	found[state] = rule;
	return n_states;
}

/* Breadth first: what a state falls back to is known before its successors are looked at. */
static void complete(u32 n_states)
{
	u16 *queue = memory(n_states * sizeof *queue);
	u32 first = 0, last = 0;

	for (u32 c = 0; c < n_classes; c++)
		if (*edge(0, c))
			queue[last++] = *edge(0, c);
	while (first < last) {
		u32 state = queue[first++];

		shorter[state] = found[fallback[state]] ? fallback[state] : shorter[fallback[state]];
		for (u32 c = 0; c < n_classes; c++) {
			u16 *next = edge(state, c);

			if (*next) {
				fallback[*next] = *edge(fallback[state], c);
				queue[last++] = *next;
			} else {
				*next = *edge(fallback[state], c);
			}
		}
	}
}

const char *automaton_build(struct rule *rules, u32 n)
{
	u32 states = classify(rules, n), used = 1;

	if (states > STATES || (u64)states * n_classes > 3 << 20)
		return "the rules' contents are too long together";
	edges = memory((size_t)states * n_classes * sizeof *edges);
	shorter = memory(states * sizeof *shorter);
	fallback = memory(states * sizeof *fallback);
	found = memory(states * sizeof(struct rule *));
	for (u32 i = 0; i < n; i++)
		used = add(&rules[i], used);
	complete(used);
	return 0;
}

u32 automaton_next(u32 state, u8 byte)
{
	return *edge(state, class_of[byte]);
}

struct rule *automaton_found(u32 *state)
{
	u32 at = found[*state] ? *state : shorter[*state];

	*state = at ? shorter[at] : 0;
	return found[at];
}
