/* A frame's way through the mNFs of the image. */
#include "core.h"

u64 clock_now, clock_begun;
struct totals totals;

u64 now(void)
{
	return clock_now - clock_begun;
}

/* 1 + the number of a reason among those of all mNFs, in order; 0 for none that there is. */
static u32 counted(u32 mnf, u32 verdict)
{
	u32 before = 0;

	if (mnf >= n_mnfs || verdict - 1 >= mnfs[mnf]->n_reasons)
		return 0;
	mnfs[mnf]->dropped[verdict - 1]++;
	for (u32 i = 0; i < mnf; i++)
		before += mnfs[i]->n_reasons;
	return before + verdict;
}

static bool passes(struct frame *frame, u32 *reason)
{
	for (u32 i = 0; i < n_mnfs; i++) {
		int verdict = mnfs[i]->packet ? mnfs[i]->packet(frame) : NEXT;

		if (verdict == NEXT)
			continue;
		*reason = verdict >> 8 ? counted(((u32)verdict >> 8) - 1, (u32)verdict & 0xff) : counted(i, (u32)verdict);
		return false;
	}
	return true;
}

bool core_frame(struct frame *frame)
{
	u8 cookie[12];
	u32 reason, shortest = frame->len == RECEIPT ? FRAME_LEAST : least(frame->len, FRAME_LEAST);

	if (frame->len < 14) {
		totals.runts++;
		frame->len = 0;
		return false;
	}
	if (get16(frame->data + 12) == CONTROL_TYPE) {
		totals.control++;
		control_answer(frame);
		return true;
	}
	totals.received++;
	memcpy(cookie, frame->data, sizeof cookie);
	if (!passes(frame, &reason)) {
		totals.dropped++;
		memcpy(frame->data, cookie, sizeof cookie);
		put16(frame->data + 12, reason);
		frame->len = RECEIPT;
		return false;
	}
	/* The chain finds the packet's record by its two addresses. */
	memcpy(frame->data, cookie, sizeof cookie);
	/*
	 * What came shorter leaves as short: padding could make a packet whole that was cut off, and that nobody looked at therefore. Of what
	 * looks like a receipt it can't.
	 */
	while (frame->len < shortest && frame->len < frame->room)
		frame->data[frame->len++] = 0;
	totals.sent++;
	return true;
}
