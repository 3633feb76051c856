/*
 * What the fuzzer's inputs are made of: records of u8 kind, u8 flags, u16 length (little-endian), data. Any bytes are some records, so that no
 * input is wasted; the last one may be cut off.
 */
#pragma once

#include "core.h"

enum kind { FRAME, CLOCK, CONFIG, KINDS };

/* Of a frame: what is made right before it goes in, so that mutations get behind the checks. */
enum {
	LENGTHS = 1,	/* of IP and of control frames */
	SUMS = 2,	/* of IPv4 and TCP */
	RELATIVE = 4,	/* TCP's numbers count from what that connection would send next */
	TIGHT = 8,	/* no room behind the frame, so that a look beyond its end is noticed */
};	/* the upper three bits: by how much the lengths are wrong all the same */

enum { RECORD_HEAD = 4, RECORDS = 128, ROOM = 2036 /* of a frame, as in a guest */ };

struct record {
	u8 kind, flags;
	u32 len;
	const u8 *data;
};

/* At most RECORDS of them; their number. */
u32 records_read(const u8 *input, size_t size, struct record records[RECORDS]);

void mend_begin(void);
void mend(u8 *frame, u32 len, u8 flags);

/* State of the image: as it is when kept is what it becomes again. Memory handed out since is free. */
void state_keep(void);
void state_restore(void);

/* What ought to be true of each frame was not. */
void broken(const char *what) __attribute__((noreturn));

/* Runs the records on a fresh image; ends early where the image fails by itself, which it may. */
void run(const struct record *records, u32 n);

/* A counter or a reason of an mNF of the image; 0 where there is none. */
u64 count(const char *mnf, const char *name);

/* What left, in a run that has begun. */
void stream_begin(void);
void stream_sent(const u8 *frame, u32 len);
