/* The connections, and what is remembered of each. */
#pragma once

#include "../net/headers.h"
#include "http.h"

enum { WINDOW = 16384 };	/* bytes kept of a connection: those that the server may not have, and those ahead of a hole */

struct ends {
	u8 client[16], server[16];
	u16 cport, sport;
};

struct connection {
	struct connection *next;	/* in its bucket */
	struct ends ends;
	u64 seen;
	bool used, closed, adopted, blocked, heard;	/* heard: the server has acknowledged something */
	bool scaled;		/* the server's window scale is known */
	u8 scale;
	u32 start;		/* sequence numbers: the first byte of all */
	u32 first;		/* the oldest that is kept */
	u32 ahead;		/* the first that is missing */
	u32 acked;		/* by the server, where heard */
	bool data;		/* any was read */
	struct http http;
	u8 present[WINDOW / 8];	/* bytes beyond `ahead`, by sequence number */
	u8 *bytes;		/* WINDOW of them */
	u8 *memory;		/* of the mNFs behind */
};

/* Room for `n` connections with `memory` bytes each for the mNFs behind. */
void connections_begin(u32 n, u32 memory);
struct connection *connection_find(const struct ends *ends);

/* A connection's place, fresh; null when all are taken by what was used within `idle`. */
struct connection *connection_new(const struct ends *ends, u64 idle);

/* All of it begins anew at this sequence number. */
void connection_reset(struct connection *c, u32 start);

enum accepted { TAKEN, OUTSIDE, CONTRADICTION };

/* Keeps a segment's bytes, all or none. */
enum accepted connection_take(struct connection *c, u32 seq, const u8 *bytes, u32 len);

/* The next run of bytes in order, at most up to the end of the buffer; 0 when there is none. It counts as read then. */
u32 connection_read(struct connection *c, const u8 **bytes);

/* The server has everything before `ack`. */
void connection_acked(struct connection *c, u32 ack);
