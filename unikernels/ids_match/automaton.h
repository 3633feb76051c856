/* Many patterns searched for in one pass (Aho and Corasick, "Efficient string matching", 1975), without regard to letter case. */
#pragma once

#include "rule.h"

/* Builds it over the fast contents of the rules; null, or what is wrong. */
const char *automaton_build(struct rule *rules, u32 n);

/* The state behind a byte. State 0 is the beginning. */
u32 automaton_next(u32 state, u8 byte);

/* The first of the rules whose fast content ends in that state; `state` becomes that of the next shorter one, 0 at the end. */
struct rule *automaton_found(u32 *state);
