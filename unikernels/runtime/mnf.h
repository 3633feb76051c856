/*
 * What an mNF in a unikernel is made of, and what the runtime gives to it. The names of its parameters, reasons and counters are in the
 * generated manifest.h, which includes this.
 */
#pragma once

#include "types.h"

/* A frame from its Ethernet header on. It may be changed in place and grow up to `room`; the addresses (the cookie) are put back. */
struct frame {
	u8 *data;
	u32 len;
	u32 room;
};

enum {
	NEXT = 0,	/* the next mNF, or out; a positive verdict is 1 + the reason of a drop */
};

/* The verdict of one whose packet another mNF of the image drops, for a reason of that one's. */
#define DROPPED_BY(mnf, verdict) ((int)((mnf) + 1) << 8 | (verdict))

/* A parameter of the manifest as the configuration's text sets it. */
struct param {
	const char *name;
	u64 *value;			/* a scalar */
	u64 most;			/* the largest number */
	const char *const *choices;	/* names of an enum, up to a null */
	const char *(*add)(char *text);	/* a list: takes an item, or says what is wrong with it */
};

/* Parts of a request on a connection that was put together (tcp_reasm). Bytes of one part may come in several pieces. */
enum part {
	REQUEST,	/* begins */
	TARGET,		/* of the request line, as sent */
	HEAD,		/* every byte of the request line and the header lines */
	HOST,		/* the value of Host */
	HEAD_END,	/* without bytes; a length of 1: a body follows, and won't be told */
	FORM,		/* a body that is a form */
	REQUEST_END,
};

struct stream {
	u32 size;	/* of an mNF's memory for each connection, zeroed when it begins */
	int (*part)(void *memory, enum part part, const u8 *bytes, u32 len);
};

enum { STAT_NAME = 32 };

struct mnf {
	const char *name;
	int (*packet)(struct frame *frame);
	const struct stream *stream;
	const char *(*ready)(void);	/* all is configured: a complaint, or null */
	const struct param *params;
	u32 n_params;
	const char *const *reasons;
	u64 *dropped;
	u32 n_reasons;
	const char *const *counters;
	u64 *counted;
	u32 n_counters;
	bool (*stat)(u32 index, char name[STAT_NAME], u64 *value);	/* counters that the configuration made; false behind the last */
};

/* All mNFs of this image, in order. */
extern const struct mnf *const mnfs[];
extern const u32 n_mnfs;

void *memory(size_t bytes);	/* zeroed, never given back; a guest without any left says so and ends */
u64 now(void);			/* nanoseconds, one value while a frame is processed */

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
