/* One pass finds the rules whose longest content is in the payload; these are compared whole, each once for a packet. */
#include "../net/headers.h"
#include "automaton.h"
#include "manifest.h"

enum { RULES = 2048, BUDGET = 20000 };

static struct rule *rules;
static u32 n_rules, packet_number;

ADD(rules)
{
	if (!rules)
		rules = memory(RULES * sizeof *rules);
	if (n_rules == RULES)
		return "too many rules";
	return rule_read(&rules[n_rules++], item);
}

READY()
{
	return automaton_build(rules, n_rules);
}

/* A rule's matches, in the statistics as ids_match.sid_<sid>. */
STAT(index, name, value)
{
	u32 digits = 1;

	if (index >= n_rules)
		return false;
	for (u32 rest = rules[index].sid; rest > 9; rest /= 10)
		digits++;
	memcpy(name, "sid_", 4);
	name[4 + digits] = 0;
	for (u32 rest = rules[index].sid; digits; rest /= 10)
		name[3 + digits--] = (char)('0' + rest % 10);
	*value = rules[index].matched;
	return true;
}

static bool applies(const struct rule *rule, const struct headers *h, const struct transport *t)
{
	return (!rule->proto || rule->proto == h->proto) && t->sport >= rule->sport[0] && t->sport <= rule->sport[1] &&
	       t->dport >= rule->dport[0] && t->dport <= rule->dport[1];
}

MNF(struct frame *frame)
{
	u32 state = 0, len, budget = BUDGET;
	bool alert = false, drop = false;
	const u8 *payload;
	struct headers h;
	struct transport t;

	if (!n_rules || !headers_read(frame, &h) || !transport_read(frame, &h, &t))
		return NEXT;
	payload = frame->data + t.payload;
	len = h.end - t.payload;
	if (!++packet_number)
		packet_number++;
	for (u32 i = 0; i < len; i++) {
		u32 at = state = automaton_next(state, payload[i]);

		while (at)
			for (struct rule *rule = automaton_found(&at); rule; rule = rule->next) {
				if (rule->checked == packet_number || !applies(rule, &h, &t))
					continue;
				rule->checked = packet_number;
				if (rule_holds(rule, payload, len, &budget)) {
					rule->matched++;
					*(rule->drop ? &drop : &alert) = true;
				} else if (!budget) {
					COUNT(too_costly, 1);
				}
			}
	}
	COUNT(alerts, alert);
	return drop ? DROP(rule) : NEXT;
}
