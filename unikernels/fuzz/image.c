/* Records to an image, and what must be true of it whatever they are. */
#include <stdlib.h>

#include "fuzz.h"

struct books {
	struct totals totals;
	u64 reasons;	/* of drops, summed up */
};

static struct books books(void)
{
	struct books b = {.totals = totals};

	for (u32 i = 0; i < n_mnfs; i++)
		for (u32 k = 0; k < mnfs[i]->n_reasons; k++)
			b.reasons += mnfs[i]->dropped[k];
	return b;
}

u64 count(const char *mnf, const char *name)
{
	for (u32 i = 0; i < n_mnfs; i++)
		if (!strcmp(mnfs[i]->name, mnf)) {
			for (u32 k = 0; k < mnfs[i]->n_reasons; k++)
				if (!strcmp(mnfs[i]->reasons[k], name))
					return mnfs[i]->dropped[k];
			for (u32 k = 0; k < mnfs[i]->n_counters; k++)
				if (!strcmp(mnfs[i]->counters[k], name))
					return mnfs[i]->counted[k];
		}
	return 0;
}

/* Each frame is counted once on its way in, once on its way out, and a drop by one reason. */
static void check_books(const struct books *before, bool sent)
{
	struct books b = books();
	u64 received = b.totals.received - before->totals.received, control = b.totals.control - before->totals.control;
	u64 dropped = b.totals.dropped - before->totals.dropped;

	if (received + control + b.totals.runts - before->totals.runts != 1)
		broken("a frame is not counted once");
	if (b.totals.sent - before->totals.sent + dropped != received || (dropped && sent) || (received && !dropped && !sent))
		broken("a frame was neither sent nor dropped, or both");
	if (b.reasons - before->reasons != dropped)
		broken("a drop without a reason, or a reason without a drop");
}

/* tcp_reasm is there, and nobody told it to read something else. */
static bool reads_port_80(void)
{
	for (u32 k = 0; k < mnfs[0]->n_params; k++)
		if (!strcmp(mnfs[0]->name, "tcp_reasm") && !strcmp(mnfs[0]->params[k].name, "port"))
			return *mnfs[0]->params[k].value == 80;
	return false;
}

static void check_sent(const struct frame *frame, const u8 *data, const u8 *original)
{
	if (frame->data != data || frame->len > ROOM || frame->len > frame->room)
		broken("a frame is longer than its room");
	if (get16(original + 12) == CONTROL_TYPE) {
		if (!(frame->data[15] & CONTROL_REPLY) || get16(frame->data + 20) + CONTROL_HEAD > frame->len)
			broken("an answer that can't be read");
		return;
	}
	if (memcmp(frame->data, original, 12))
		broken("a frame lost its cookie");
	if (frame->len == RECEIPT && frame->room > RECEIPT)
		broken("a frame that looks like a receipt");
	if (reads_port_80())
		stream_sent(frame->data, frame->len);
}

/* What is told of a drop: whose it was, and a reason that there is. */
static void check_receipt(const struct frame *frame, const u8 *data, const u8 *original)
{
	u32 reasons = 0;

	for (u32 i = 0; i < n_mnfs; i++)
		reasons += mnfs[i]->n_reasons;
	if (frame->data != data || frame->len != RECEIPT || memcmp(data, original, 12) || get16(data + 12) - 1u >= reasons)
		broken("a receipt that says nothing");
}

/* Behind compress stands decompress: what the one made smaller the other makes what it was. */
struct packed {
	u64 packets, in, out, corrupt;
};

static struct packed packed(void)
{
	return (struct packed){
		.packets = count("compress", "compressed"), .in = count("compress", "bytes_in"), .out = count("compress", "bytes_out"),
		.corrupt = count("decompress", "corrupt"),
	};
}

static void check_packed(const struct packed *before, const struct frame *frame, bool sent, const u8 *original, u32 len)
{
	struct packed p = packed();
	u32 at = 12, end, shortest = least(len, FRAME_LEAST);

	if (p.packets == before->packets)
		return;
	if (p.out - before->out >= p.in - before->in)
		broken("compressed, and no smaller");
	if (p.corrupt != before->corrupt)
		broken("what was compressed can't be restored");
	if (!sent)
		return;	/* longer than the other end's MTU */
	while (get16(original + at) == 0x8100 || get16(original + at) == 0x88a8)
		at += 4;
	end = at + 2 + (get16(original + at) == 0x0800 ? get16(original + at + 4) : 40u + get16(original + at + 6));
	if (frame->len != (end < shortest ? shortest : end) || memcmp(frame->data, original, end))
		broken("what was restored is not what was compressed");
}

static void frame_in(const struct record *record)
{
	u8 original[ROOM];
	u32 len = least(record->len, ROOM);
	struct frame frame = {.len = len};
	struct books before = books();
	struct packed packed_before = packed();
	bool sent;

	memcpy(original, record->data, len);
	mend(original, len, record->flags);
	/* An answer takes room, which a guest's frames always have. */
	frame.room = record->flags & TIGHT && (len < 14 || get16(original + 12) != CONTROL_TYPE) ? len : ROOM;
	frame.data = malloc(frame.room);
	memcpy(frame.data, original, len);

	u8 *data = frame.data;

	sent = core_frame(&frame);
	check_books(&before, sent);
	if (sent)
		check_sent(&frame, data, original);
	else if (frame.len || len >= 14)
		check_receipt(&frame, data, original);
	check_packed(&packed_before, &frame, sent, original, len);
	free(data);
}

/* The records of a configuration, as long as none was read. */
static const char *configure(const struct record *records, u32 n)
{
	const char *wrong;
	char *text;
	u32 len = 0;

	for (u32 i = 0; i < n; i++)
		if (records[i].kind == CONFIG)
			len += records[i].len + 1;
	text = malloc(len + 1);
	len = 0;
	for (u32 i = 0; i < n; i++)
		if (records[i].kind == CONFIG) {
			memcpy(text + len, records[i].data, records[i].len);
			len += records[i].len;
			text[len++] = '\n';
		}
	wrong = config_read(text, len, false);
	free(text);
	return wrong;
}

void run(const struct record *records, u32 n)
{
	if (!getenv("EBPFNF_FUZZ_CONFIG") && configure(records, n))
		return;
	stream_begin();
	for (u32 i = 0; i < n && !quit_wanted; i++)
		if (records[i].kind == FRAME)
			frame_in(&records[i]);
		else if (records[i].kind == CLOCK)
			clock_now += 1ull << records[i].flags % 38;
}
