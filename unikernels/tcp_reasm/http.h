/* Requests of HTTP/1.0 and 1.1 out of a connection's bytes, which may be cut anywhere. */
#pragma once

#include "mnf.h"

enum { HTTP_WORD = 40 };

struct http {
	u8 state;
	u8 line;	/* bytes of the request line's version, or of a chunk's size */
	u8 name_len, value_len;
	bool cr, has_length, chunked, form, typed, encoded, upgrade, host;
	u64 left;	/* of the body or chunk */
	char name[HTTP_WORD], value[HTTP_WORD];
};

enum { HTTP_NOT = -2, HTTP_AMBIGUOUS = -3 };	/* verdicts besides those of who listens */

/* Tells `part` what is found; what it answers other than NEXT ends the reading. */
int http_read(struct http *http, const u8 *bytes, u32 len, int (*part)(void *to, enum part, const u8 *, u32), void *to);

/* The connection began before us: wait for a segment that begins a request. */
void http_adopt(struct http *http);

/* The server switched protocols: what follows is no HTTP. */
void http_switched(struct http *http);
bool http_says_switched(const u8 *answer, u32 len);
