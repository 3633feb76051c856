#include <lz4.h>
#include <zlib.h>

#include "codec.h"
#include "zlib_memory.h"

static z_stream deflater;
static void *lz4_state;

const char *codec_begin_pack(void)
{
	lz4_state = memory((size_t)LZ4_sizeofState());
	deflater.zalloc = zlib_memory;
	deflater.zfree = zlib_forget;
	/* A window of 2 KiB covers a packet, and Linux's IPComp takes no larger one. */
	return deflateInit2(&deflater, 6, Z_DEFLATED, -11, 9, Z_DEFAULT_STRATEGY) == Z_OK ? 0 : "deflate can't be prepared";
}

u32 codec_pack(u32 transform, const u8 *from, u32 len, u8 *to, u32 room)
{
	if (transform == LZ4)
		return (u32)LZ4_compress_fast_extState(lz4_state, (const char *)from, (char *)to, (int)len, (int)room, 1);

	deflateReset(&deflater);
	deflater.next_in = (Bytef *)(uintptr_t)from;
	deflater.avail_in = len;
	deflater.next_out = to;
	deflater.avail_out = room;
	return deflate(&deflater, Z_FINISH) == Z_STREAM_END ? room - deflater.avail_out : 0;
}
