/*
 * Control frames: Ethernet type 0x88b5, then version 1, operation, sequence (2), status, 0, length of the text (2), text.
 * An answer has the same sequence, the operation with bit 7 set, and in status what became of it.
 */
#include "core.h"

enum { VERSION = 1, OK = 0, REFUSED = 1, MORE = 2 };

bool quit_wanted;
u8 own_address[6] = {2, 0, 0, 0, 0, 1};

static void finish(struct frame *frame, u32 operation, u32 status, u32 len)
{
	u8 *head = frame->data;

	head[14] = VERSION;
	head[15] = (u8)(operation | CONTROL_REPLY);
	head[18] = (u8)status;
	head[19] = 0;
	put16(head + 20, len);
	frame->len = CONTROL_HEAD + len;
	while (frame->len < FRAME_LEAST)
		frame->data[frame->len++] = 0;
}

static u32 write_text(struct frame *frame, const char *text)
{
	u32 len = least((u32)strlen(text), CONTROL_MOST);

	memcpy(frame->data + CONTROL_HEAD, text, len);
	return len;
}

static u32 number(const char *text, u32 len)
{
	u32 value = 0;

	for (u32 i = 0; i < len && i < 6 && text[i] >= '0' && text[i] <= '9'; i++)
		value = value * 10 + (u32)(text[i] - '0');
	return value;
}

void control_ready(struct frame *frame)
{
	memset(frame->data, 0xff, 6);
	memcpy(frame->data + 6, own_address, 6);
	put16(frame->data + 12, CONTROL_TYPE);
	put16(frame->data + 16, 0);
	finish(frame, CONTROL_READY, OK, 0);
}

void control_answer(struct frame *frame)
{
	char *text = (char *)frame->data + CONTROL_HEAD;
	u32 len = frame->len < CONTROL_HEAD ? 0 : least(get16(frame->data + 20), frame->len - CONTROL_HEAD);
	u32 operation = frame->len < CONTROL_HEAD ? 0 : frame->data[15], next = 0;
	const char *wrong = 0;

	memcpy(frame->data, frame->data + 6, 6);
	memcpy(frame->data + 6, own_address, 6);
	if (frame->room < CONTROL_HEAD + CONTROL_MOST + 1 || len > CONTROL_MOST || (operation && frame->data[14] != VERSION))
		operation = 0;

	switch (operation) {
	case CONTROL_READY:
	case CONTROL_DRAIN:	/* frames are answered in order: whatever came before has left before this */
		finish(frame, operation, OK, 0);
		return;
	case CONTROL_BEGIN:	/* what stood by serves from now on: what counts from the start counts from here */
		clock_begun = clock_now;
		finish(frame, operation, OK, 0);
		return;
	case CONTROL_CONFIG:
		wrong = config_read(text, len, true);
		finish(frame, operation, wrong ? REFUSED : OK, wrong ? write_text(frame, wrong) : 0);
		return;
	case CONTROL_STATS:
		len = stats_write(text, CONTROL_MOST, number(text, len), &next);
		finish(frame, operation, next ? MORE : OK, len);
		return;
	case CONTROL_QUIT:
		quit_wanted = true;
		finish(frame, operation, OK, 0);
		return;
	}
	finish(frame, 0, REFUSED, write_text(frame, "unknown operation"));
}
