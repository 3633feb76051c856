/* Counters as text. Their order is fixed, so that a reader can ask on from where a frame was full. */
#include "core.h"

struct writer {
	char *text;
	u32 len, room, line, from, next;
};

static void write_line(struct writer *w, const char *owner, const char *name, u64 value)
{
	char digits[20];
	u32 n = 0, o = (u32)strlen(owner), l = (u32)strlen(name);

	if (w->line++ < w->from || w->next)
		return;
	do
		digits[n++] = (char)('0' + value % 10);
	while ((value /= 10));
	if (w->len + o + l + n + 3 > w->room) {
		w->next = w->line - 1;
		return;
	}
	memcpy(w->text + w->len, owner, o);
	w->text[w->len + o] = '.';
	memcpy(w->text + w->len + o + 1, name, l);
	w->len += o + 1 + l;
	w->text[w->len++] = ' ';
	while (n)
		w->text[w->len++] = digits[--n];
	w->text[w->len++] = '\n';
}

u32 stats_write(char *text, u32 room, u32 from, u32 *next)
{
	struct writer w = {.text = text, .room = room, .from = from};
	char name[STAT_NAME];
	u64 value;

	write_line(&w, "vm", "received", totals.received);
	write_line(&w, "vm", "sent", totals.sent);
	write_line(&w, "vm", "dropped", totals.dropped);
	write_line(&w, "vm", "control", totals.control);
	write_line(&w, "vm", "runts", totals.runts);
	for (u32 i = 0; i < n_mnfs; i++) {
		for (u32 k = 0; k < mnfs[i]->n_reasons; k++)
			write_line(&w, mnfs[i]->name, mnfs[i]->reasons[k], mnfs[i]->dropped[k]);
		for (u32 k = 0; k < mnfs[i]->n_counters; k++)
			write_line(&w, mnfs[i]->name, mnfs[i]->counters[k], mnfs[i]->counted[k]);
		for (u32 k = 0; mnfs[i]->stat && mnfs[i]->stat(k, name, &value); k++)
			write_line(&w, mnfs[i]->name, name, value);
	}
	*next = w.next;
	return w.len;
}
