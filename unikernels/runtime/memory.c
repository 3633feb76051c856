/* Memory is handed out once, while the image starts, and never given back. */
#include "machine.h"

extern char __end[];
static u64 next, end;

void memory_begin(u64 last)
{
	next = (u64)__end;
	end = last;
}

void *memory_aligned(size_t bytes, size_t align)
{
	u64 start = (next + align - 1) & ~(u64)(align - 1);

	if (start > end || bytes > end - start)
		platform_fail("out of memory");
	next = start + bytes;
	return memset((void *)start, 0, bytes);
}

void *memory(size_t bytes)
{
	return memory_aligned(bytes, 64);
}
