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

/* One line: `<mnf>.<param> <value>`. */
static const char *read_line(char *line, bool live, bool set)
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
	if (param->add) {
		if (live)
			return "a list can't change while running: start another image";
		return set ? param->add(value) : 0;
	}
	return param->choices ? set_choice(param, value, set) : set_number(param, value, set);
}

static const char *read_all(char *text, u32 len, bool live, bool set)
{
	for (u32 begin = 0, end; begin < len; begin = end + 1) {
		const char *wrong;
		char behind;

		for (end = begin; end < len && text[end] != '\n'; end++)
			if (!text[end])
				return "a zero byte";
		if (end == begin)
			continue;
		behind = text[end];	/* the caller's buffer has a byte more than `len` */
		text[end] = 0;
		wrong = read_line(text + begin, live, set);
		text[end] = behind;
		if (wrong)
			return wrong;
	}
	return 0;
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
