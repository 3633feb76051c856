/* What Debian's libraries refer to but never call: each of their uses here brings its own memory. */
#include "mnf.h"

void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void free(void *block);

void *malloc(size_t n)
{
	(void)n;
	return 0;
}

void *calloc(size_t n, size_t size)
{
	(void)n;
	(void)size;
	return 0;
}

void free(void *block)
{
	(void)block;
}
