/* zlib asks for memory while it is prepared, and not again. */
#pragma once

#include "mnf.h"

static inline void *zlib_memory(void *opaque, unsigned int items, unsigned int size)
{
	(void)opaque;
	return memory((size_t)items * size);
}

static inline void zlib_forget(void *opaque, void *block)
{
	(void)opaque;
	(void)block;
}
