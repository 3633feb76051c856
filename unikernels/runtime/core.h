/* What every image does, whatever is below: a guest's hardware (main.c) or a process (native.c). */
#pragma once

#include "mnf.h"

enum {
	CONFIG_MOST = 4 << 20,
	CONTROL_TYPE = 0x88b5,
	CONTROL_HEAD = 22,
	CONTROL_MOST = 1400,	/* bytes of text in one control frame */
	FRAME_LEAST = 60,
	RECEIPT = 14,	/* what is told of a frame that was dropped: its cookie, and 1 + the number of the reason */
};

enum control {
	CONTROL_READY = 1,
	CONTROL_CONFIG = 2,
	CONTROL_STATS = 3,
	CONTROL_DRAIN = 4,
	CONTROL_QUIT = 5,
	CONTROL_BEGIN = 6,
	CONTROL_REPLY = 0x80,
};

extern u64 clock_now, clock_begun;
extern bool quit_wanted;	/* a control frame asked for the end: send what is queued, then end */

/* Reads a configuration, `<mnf>.<param> <value>` lines. All of it is checked before any is set. Null, or what is wrong. */
const char *config_read(char *text, u32 len, bool live);

/* Processes a frame; true: send it. Else what is left of it tells the chain that it was dropped, and why (vm.h): send that, if it has a length. */
bool core_frame(struct frame *frame);

extern u8 own_address[6];	/* what is below sets it */

/* Writes the frame that says that this image serves. */
void control_ready(struct frame *frame);

/* Replaces a control frame by its answer. */
void control_answer(struct frame *frame);

struct totals {
	u64 received, sent, dropped, control, runts;
};
extern struct totals totals;

/* Lines `name value` of all counters from number `from` on, as many as fit; `next`: the first that did not, or 0. */
u32 stats_write(char *text, u32 room, u32 from, u32 *next);

/* What is below provides these. */
void platform_fail(const char *what) __attribute__((noreturn));
