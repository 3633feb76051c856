/*
 * The image as a process, for tests and fuzzing: built with sanitizers, no machine below.
 * Arguments: a file with the configuration. Standard input: records of u64 time, u32 length, frame. For each, standard output: u32 length, frame;
 * length 0 where it was dropped. Numbers are little-endian. A configuration that is refused: its complaint on standard error, exit code 65.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core.h"

enum { ROOM = 2036 /* as in a guest */ };
#define TIGHT (1u << 31)	/* of a length: no room behind the frame, so that a look beyond its end is noticed too */

/* Memory is never given back, on purpose. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

void platform_fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

void *memory(size_t bytes)
{
	static size_t left = 12 << 20;	/* what a guest of 16 MiB has */
	void *block = calloc(1, bytes);

	if (!block || bytes > left)
		platform_fail("out of memory");
	left -= bytes;
	return block;
}

static const char *configure(const char *path)
{
	static char text[CONFIG_MOST + 1];
	FILE *file = fopen(path, "rb");
	size_t len;

	if (!file)
		return "no such configuration";
	len = fread(text, 1, CONFIG_MOST, file);
	fclose(file);
	return config_read(text, (u32)len, false);
}

static bool read_exactly(void *to, size_t n)
{
	return fread(to, 1, n, stdin) == n;
}

int main(int argc, char **argv)
{
	const char *wrong = argc > 1 ? configure(argv[1]) : config_read((char[1]){0}, 0, false);
	u32 len;

	if (wrong) {
		fprintf(stderr, "%s\n", wrong);
		return 65;
	}
	while (read_exactly(&clock_now, sizeof clock_now) && read_exactly(&len, sizeof len) && (len & ~TIGHT) <= ROOM) {
		u32 room = len & TIGHT ? len & ~TIGHT : ROOM;
		struct frame frame = {.data = malloc(room), .len = len & ~TIGHT, .room = room};	/* its end is guarded */
		u32 out = 0;

		if (!frame.data || !read_exactly(frame.data, frame.len))
			return 1;
		if (core_frame(&frame))
			out = frame.len;
		fwrite(&out, sizeof out, 1, stdout);
		fwrite(frame.data, 1, out, stdout);
		fflush(stdout);
		free(frame.data);
		if (quit_wanted)
			return 0;
	}
	return 0;
}
