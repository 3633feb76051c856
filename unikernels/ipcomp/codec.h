/* Compression of one block at a time, with the transform's number in IPComp (RFC 3173). */
#pragma once

#include "mnf.h"

enum {
	DEFLATE = 2,		/* RFC 2394 */
	LZ4 = 61444,		/* of the numbers that two ends agree upon */
	IPCOMP_HEADER = 4,
};

/* Prepares what the transforms need; null, or what is wrong. */
const char *codec_begin_pack(void);
const char *codec_begin_unpack(void);

/* The length of the result, or 0 when it would be longer than `room`. */
u32 codec_pack(u32 transform, const u8 *from, u32 len, u8 *to, u32 room);

/* The length of the result, or 0 for what is no whole block, or longer than `room`. */
u32 codec_unpack(u32 transform, const u8 *from, u32 len, u8 *to, u32 room);

/* The IP header in front of `len` bytes of protocol `proto`: its length, protocol and sum. */
void ip_header_mend(u8 *ip, u32 version, u8 proto, u32 len);
