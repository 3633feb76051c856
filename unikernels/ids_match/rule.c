/* action proto any ports -> any ports (option; option: value; ...) */
#include "rule.h"

static void skip_blanks(const char **at)
{
	while (**at == ' ' || **at == '\t')
		(*at)++;
}

/* Takes a word of the head, or of an option's name. */
static bool take(const char **at, const char *word)
{
	const char *p = *at;

	while (*word && *p == *word)
		p++, word++;
	if (*word || (word[-1] != ':' && ((*p >= 'a' && *p <= 'z') || *p == '_')))
		return false;
	*at = p;
	skip_blanks(at);
	return true;
}

static bool take_number(const char **at, u32 most, u32 *value)
{
	const char *p = *at;

	*value = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		if ((*value = *value * 10 + (u32)(*p - '0')) > most)
			return false;
	if (p == *at)
		return false;
	*at = p;
	return true;
}

static bool take_ports(const char **at, u16 range[2])
{
	u32 value = 0;

	range[0] = 0;
	range[1] = 65535;
	if (take(at, "any"))
		return true;
	if (**at != ':') {
		if (!take_number(at, 65535, &value))
			return false;
		range[0] = (u16)value;
		if (**at != ':')
			range[1] = (u16)value;
	}
	if (**at == ':') {
		(*at)++;
		if (**at >= '0' && **at <= '9') {
			if (!take_number(at, 65535, &value))
				return false;
			range[1] = (u16)value;
		}
	}
	skip_blanks(at);
	return range[0] <= range[1];
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A quoted content, with |hex| inside. */
static const char *take_content(const char **at, struct content *content)
{
	static u8 bytes[256];
	const char *p = *at;
	bool in_hex = false;
	u32 n = 0;

	if (*p == '!')
		content->negated = true, p++;
	if (*p++ != '"')
		return "a content stands in quotes";
	for (; *p && *p != '"'; p++) {
		if (n == sizeof bytes)
			return "a content is longer than 256 bytes";
		if (*p == '|') {
			in_hex = !in_hex;
		} else if (in_hex && *p == ' ') {
			continue;
		} else if (in_hex) {
			if (hex(p[0]) < 0 || hex(p[1]) < 0)
				return "between bars stand pairs of hex digits";
			bytes[n++] = (u8)(hex(p[0]) << 4 | hex(p[1]));
			p++;
		} else {
			if (*p == '\\' && !*++p)
				break;
			bytes[n++] = (u8)*p;
		}
	}
	if (*p != '"' || in_hex || !n)
		return "a content is empty or does not end";
	content->bytes = memory(n);
	memcpy(content->bytes, bytes, n);
	content->len = n;
	*at = p + 1;
	return 0;
}

/* What may be said about the content before. */
static const char *take_modifier(const char **at, struct content *content)
{
	u32 value = 0;
	bool minus;

	if (take(at, "nocase")) {
		content->nocase = true;
		return 0;
	}
	if (take(at, "fast_pattern"))
		return 0;
	if (take(at, "offset:"))
		return take_number(at, 65535, &content->offset) ? 0 : "offset needs a number";
	if (take(at, "depth:"))
		return take_number(at, 65535, &content->depth) && content->depth >= content->len ? 0 : "depth is less than the content's length";
	if (take(at, "within:")) {
		content->relative = true;
		return take_number(at, 65535, &content->within) && content->within >= content->len ? 0 : "within is less than the content's length";
	}
	if (take(at, "distance:")) {
		minus = **at == '-';
		*at += minus;
		content->relative = true;
		if (!take_number(at, 65535, &value))
			return "distance needs a number";
		content->distance = minus ? -(int32_t)value : (int32_t)value;
		return 0;
	}
	return "an option that is not known";
}

static void skip_value(const char **at)
{
	bool quoted = false;

	for (; **at && (quoted || **at != ';'); (*at)++) {
		if (**at == '\\' && (*at)[1])
			(*at)++;
		else if (**at == '"')
			quoted = !quoted;
	}
}

static const char *take_option(const char **at, struct rule *rule)
{
	static const char *const said[] = {"msg:", "rev:", "classtype:", "reference:", "metadata:", "priority:", "gid:"};

	for (u32 i = 0; i < ARRAY_SIZE(said); i++)
		if (take(at, said[i])) {
			skip_value(at);
			return 0;
		}
	if (take(at, "sid:"))
		return take_number(at, 429496728, &rule->sid) ? 0 : "sid needs a number";
	if (take(at, "content:")) {
		if (rule->n_contents == CONTENTS)
			return "more than 8 contents";
		return take_content(at, &rule->contents[rule->n_contents++]);
	}
	if (!rule->n_contents)
		return "an option that is not known, or stands before the content";
	return take_modifier(at, &rule->contents[rule->n_contents - 1]);
}

/* The longest content that must be there. */
static bool choose_fast(struct rule *rule)
{
	u32 best = 0;

	for (u32 i = 0; i < rule->n_contents; i++)
		if (!rule->contents[i].negated && rule->contents[i].len > best) {
			best = rule->contents[i].len;
			rule->fast = i;
		}
	return best;
}

static const char *take_head(const char **at, struct rule *rule)
{
	if (take(at, "drop"))
		rule->drop = true;
	else if (!take(at, "alert"))
		return "a rule begins with alert or drop";
	if (take(at, "tcp"))
		rule->proto = 6;
	else if (take(at, "udp"))
		rule->proto = 17;
	else if (!take(at, "ip"))
		return "the protocol is tcp, udp or ip";
	if (!take(at, "any") || !take_ports(at, rule->sport))
		return "the source is 'any' and a port, a range from:to or any";
	if (!take(at, "->"))
		return "a rule's direction is ->";
	if (!take(at, "any") || !take_ports(at, rule->dport))
		return "the destination is 'any' and a port, a range from:to or any";
	return *(*at)++ == '(' ? 0 : "the options stand in brackets";
}

const char *rule_read(struct rule *rule, const char *text)
{
	const char *at = text, *wrong;

	memset(rule, 0, sizeof *rule);
	skip_blanks(&at);
	wrong = take_head(&at, rule);
	if (wrong)
		return wrong;
	for (skip_blanks(&at); *at != ')'; skip_blanks(&at)) {
		wrong = take_option(&at, rule);
		if (wrong)
			return wrong;
		skip_blanks(&at);
		if (*at++ != ';')
			return "an option ends with ';'";
	}
	if (!rule->sid)
		return "a rule needs a sid";
	return choose_fast(rule) ? 0 : "a rule needs a content that is not negated";
}

static bool equal(const struct content *content, const u8 *bytes)
{
	if (!content->nocase)
		return !memcmp(content->bytes, bytes, content->len);
	for (u32 i = 0; i < content->len; i++)
		if (fold(content->bytes[i]) != fold(bytes[i]))
			return false;
	return true;
}

static bool holds_from(const struct rule *rule, u32 number, u32 before, const u8 *payload, u32 len, u32 *budget)
{
	const struct content *content;
	int64_t from, to;

	if (number == rule->n_contents)
		return true;
	content = &rule->contents[number];
	from = content->offset;
	to = content->depth ? from + content->depth : len;
	if (content->relative) {
		from = (int64_t)before + content->distance;
		to = content->within ? from + content->within : len;
	}
	if (from < 0)
		from = 0;
	if (to > len)
		to = len;
	for (; from + content->len <= to && *budget; from++) {
		--*budget;
		if (!equal(content, payload + from))
			continue;
		if (content->negated)
			return false;
		if (holds_from(rule, number + 1, (u32)from + content->len, payload, len, budget))
			return true;
	}
	return content->negated && *budget && holds_from(rule, number + 1, before, payload, len, budget);
}

bool rule_holds(const struct rule *rule, const u8 *payload, u32 len, u32 *budget)
{
	return holds_from(rule, 0, 0, payload, len, budget);
}
