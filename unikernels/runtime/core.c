/* A frame's way through the mNFs of the image. */
#include "core.h"

u64 clock_now, clock_begun;
struct totals totals;

u64 now(void)
{
	return clock_now - clock_begun;
}

static bool passes(struct frame *frame)
{
	for (u32 i = 0; i < n_mnfs; i++) {
		int verdict = mnfs[i]->packet ? mnfs[i]->packet(frame) : NEXT;

		if (verdict == NEXT)
			continue;
		if (verdict > 0 && (u32)verdict <= mnfs[i]->n_reasons)
			mnfs[i]->dropped[verdict - 1]++;
		return false;
	}
	return true;
}

bool core_frame(struct frame *frame)
{
	u8 cookie[12];

	if (frame->len < 14) {
		totals.runts++;
		return false;
	}
	if (get16(frame->data + 12) == CONTROL_TYPE) {
		totals.control++;
		control_answer(frame);
		return true;
	}
	totals.received++;
	memcpy(cookie, frame->data, sizeof cookie);
	if (!passes(frame)) {
		totals.dropped++;
		return false;
	}
	/* The chain finds the packet's record by its two addresses. */
	memcpy(frame->data, cookie, sizeof cookie);
	while (frame->len < FRAME_LEAST && frame->len < frame->room)
		frame->data[frame->len++] = 0;
	totals.sent++;
	return true;
}
