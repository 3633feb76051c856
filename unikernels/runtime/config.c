/* The configuration's text to the parameters of the mNFs. */
#include "core.h"

static const char *set_choice(const struct param *param, const char *text, bool set)
{
	for (u32 i = 0; param->choices[i]; i++)
		if (!strcmp(param->choices[i], text)) {
			if (set)
				*param->value = i;
			return 0;
		}
	return "no such choice";
}

static const char *set_number(const struct param *param, const char *text, bool set)
{
	u64 value = 0;

	if (!*text)
		return "a number is missing";
	for (; *text; text++) {
		u64 digit = (u64)(*text - '0');

		if (digit > 9 || value > (param->most - digit) / 10)
			return "a number is wrong or too large";
		value = value * 10 + digit;
	}
	if (set)
		*param->value = value;
	return 0;
}

static const struct param *find(char *name)
{
	char *dot = name;

	while (*dot && *dot != '.')
		dot++;
	if (!*dot)
		return 0;
	*dot = 0;
	for (u32 i = 0; i < n_mnfs; i++)
		for (u32 k = 0; k < mnfs[i]->n_params; k++)
			if (!strcmp(mnfs[i]->name, name) && !strcmp(mnfs[i]->params[k].name, dot + 1)) {
				*dot = '.';
				return &mnfs[i]->params[k];
			}
	*dot = '.';
	return 0;
}

struct reading {
	char *text;
	u32 at, len;
	bool live, set;
};

/* A table's bytes stand behind its line, which says how many there are. */
static const char *read_bytes(struct reading *r, const struct param *param, const char *value)
{
	u64 size = 0;
	const struct param length = {.value = &size, .most = r->len - r->at};
	const char *wrong = set_number(&length, value, true);

	if (wrong)
		return wrong;
	if (r->set)
		wrong = param->take((const u8 *)r->text + r->at, (u32)size);
	r->at += (u32)size;
	return wrong;
}

/* One line: `<mnf>.<param> <value>`. */
static const char *read_line(struct reading *r, char *line)
{
	char *value = line;
	const struct param *param;

	while (*value && *value != ' ')
		value++;
	if (!*value)
		return "a line without a value";
	*value = 0;
	param = find(line);
	*value++ = ' ';
	if (!param)
		return "no such parameter";
	if (r->live && (param->add || param->take))
		return "a list can't change while running: start another image";
	if (param->take)
		return read_bytes(r, param, value);
	if (param->add)
		return r->set ? param->add(value) : 0;
	return param->choices ? set_choice(param, value, r->set) : set_number(param, value, r->set);
}

static const char *read_all(char *text, u32 len, bool live, bool set)
{
	struct reading r = {.text = text, .len = len, .live = live, .set = set};
	const char *wrong = 0;

	while (!wrong && r.at < len) {
		u32 begin = r.at, end = begin;
		char behind;

		while (end < len && text[end] != '\n')
			if (!text[end++])
				return "a zero byte";
		r.at = end < len ? end + 1 : end;
		if (end == begin)
			continue;
		behind = text[end];	/* the caller's buffer has a byte more than `len` */
		text[end] = 0;
		wrong = read_line(&r, text + begin);
		text[end] = behind;
	}
	return wrong;
}

const char *config_read(char *text, u32 len, bool live)
{
	const char *wrong = read_all(text, len, live, false);

	if (!wrong)
		wrong = read_all(text, len, live, true);
	for (u32 i = 0; !wrong && !live && i < n_mnfs; i++)
		if (mnfs[i]->ready)
			wrong = mnfs[i]->ready();
	return wrong;
}
