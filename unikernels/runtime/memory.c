/* Memory is handed out once, while the image starts, and never given back. */
#include "machine.h"

extern char __end[];
static u64 next, end;

void memory_begin(u64 last)
{
	next = (u64)__end;
	end = last;
}

/* A new machine's memory is zero, and costs the host nothing as long as it is only read. */
static void *zeroed(u64 *start, u64 *behind)
{
	u64 *word = start;

	for (; behind - word >= 8; word += 8)	/* in emulation it is the loop that costs */
		if (word[0] | word[1] | word[2] | word[3] | word[4] | word[5] | word[6] | word[7])
			memset(word, 0, 64);
	for (; word < behind; word++)
		if (*word)
			*word = 0;
	return start;
}

void *memory_aligned(size_t bytes, size_t align)
{
	u64 start = (next + align - 1) & ~(u64)(align - 1);

	if (start > end || bytes + 7 > end - start)
		platform_fail("out of memory");
	next = (start + bytes + 7) & ~(u64)7;
	return zeroed((u64 *)start, (u64 *)next);
}

void *memory(size_t bytes)
{
	return memory_aligned(bytes, 64);
}
