/* The libraries are not built with sanitizers: what they are given is looked at before they are called. */
#include <lz4.h>
#include <sanitizer/asan_interface.h>
#include <zlib.h>

#include "types.h"

int __real_LZ4_decompress_safe(const char *from, char *to, int len, int room);
int __wrap_LZ4_decompress_safe(const char *from, char *to, int len, int room);
int __real_LZ4_compress_fast_extState(void *state, const char *from, char *to, int len, int room, int speed);
int __wrap_LZ4_compress_fast_extState(void *state, const char *from, char *to, int len, int room, int speed);
int __real_inflate(z_streamp stream, int flush);
int __wrap_inflate(z_streamp stream, int flush);
int __real_deflate(z_streamp stream, int flush);
int __wrap_deflate(z_streamp stream, int flush);

/* Touches the first byte that is out of bounds, so that the sanitizer says where that is. */
static void look(const void *start, size_t bytes)
{
	const volatile u8 *wrong = __asan_region_is_poisoned((void *)(uintptr_t)start, bytes);

	if (wrong)
		(void)*wrong;
}

static void look_at_stream(const z_stream *stream)
{
	look(stream->next_in, stream->avail_in);
	look(stream->next_out, stream->avail_out);
}

int __wrap_LZ4_decompress_safe(const char *from, char *to, int len, int room)
{
	look(from, (size_t)len);
	look(to, (size_t)room);
	return __real_LZ4_decompress_safe(from, to, len, room);
}

int __wrap_LZ4_compress_fast_extState(void *state, const char *from, char *to, int len, int room, int speed)
{
	look(from, (size_t)len);
	look(to, (size_t)room);
	return __real_LZ4_compress_fast_extState(state, from, to, len, room, speed);
}

int __wrap_inflate(z_streamp stream, int flush)
{
	look_at_stream(stream);
	return __real_inflate(stream, flush);
}

int __wrap_deflate(z_streamp stream, int flush)
{
	look_at_stream(stream);
	return __real_deflate(stream, flush);
}
