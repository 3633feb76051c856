#include <lz4.h>
#include <zlib.h>

#include "codec.h"
#include "zlib_memory.h"

static z_stream inflater;

const char *codec_begin_unpack(void)
{
	inflater.zalloc = zlib_memory;
	inflater.zfree = zlib_forget;
	return inflateInit2(&inflater, -15) == Z_OK ? 0 : "inflate can't be prepared";
}

u32 codec_unpack(u32 transform, const u8 *from, u32 len, u8 *to, u32 room)
{
	if (transform == LZ4) {
		int n = LZ4_decompress_safe((const char *)from, (char *)to, (int)len, (int)room);

		return n > 0 ? (u32)n : 0;
	}
	inflateReset(&inflater);
	inflater.next_in = (Bytef *)(uintptr_t)from;
	inflater.avail_in = len;
	inflater.next_out = to;
	inflater.avail_out = room;
	if (inflate(&inflater, Z_FINISH) != Z_STREAM_END || inflater.avail_in)
		return 0;
	return room - inflater.avail_out;
}
