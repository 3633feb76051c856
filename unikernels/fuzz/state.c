/*
 * The image's memory. A fuzzer runs many inputs in one process and each must find the image as new, so everything that it can write is kept in
 * a copy: its variables, which lie in two sections of their own, and what it asked memory for. What is large and was made by a configuration
 * that all inputs share are tables: these can't be written any more.
 */
#include <sanitizer/asan_interface.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fuzz.h"

enum { ARENA = 12 << 20 /* what a guest of 16 MiB has */, GUARD = 64, LARGE = 128 << 10 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const u8 *input, size_t size);

extern u64 __start_image_data[], __stop_image_data[], __start_image_bss[], __stop_image_bss[];

static u64 arena[ARENA / sizeof(u64)];
static struct {
	void *start;
	size_t bytes;
} tables[8];
static u32 n_tables;
static size_t used, used_when_kept;
static u64 *data_kept, *bss_kept, *arena_kept;
static jmp_buf ended;

void platform_fail(const char *what)
{
	(void)what;
	longjmp(ended, 1);
}

void broken(const char *what)
{
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

void *memory(size_t bytes)
{
	u8 *start = (u8 *)arena + used;

	if (!data_kept && bytes >= LARGE && n_tables < ARRAY_SIZE(tables)) {
		tables[n_tables].bytes = bytes;
		return tables[n_tables++].start = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	if (bytes > ARENA || used + bytes + GUARD > ARENA)
		platform_fail("out of memory");
	used = (used + bytes + 2 * GUARD - 1) / GUARD * GUARD;
	__asan_unpoison_memory_region(start, bytes);
	return start;
}

/* Between variables lies what the sanitizer guards, so memcpy may not. */
__attribute__((no_sanitize("address"))) static void copy(volatile u64 *to, const volatile u64 *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof *to; i++)
		to[i] = from[i];
}

static u64 *copy_of(const u64 *from, size_t bytes)
{
	u64 *to = malloc(bytes + 1);

	copy(to, from, bytes);
	return to;
}

static size_t size_of(const u64 *start, const u64 *stop)
{
	return (size_t)((const u8 *)stop - (const u8 *)start);
}

void state_keep(void)
{
	data_kept = copy_of(__start_image_data, size_of(__start_image_data, __stop_image_data));
	bss_kept = copy_of(__start_image_bss, size_of(__start_image_bss, __stop_image_bss));
	arena_kept = copy_of(arena, used);
	used_when_kept = used;
	for (u32 i = 0; i < n_tables; i++)
		mprotect(tables[i].start, tables[i].bytes, PROT_READ);
}

void state_restore(void)
{
	u8 *fresh = (u8 *)arena + used_when_kept;

	copy(__start_image_data, data_kept, size_of(__start_image_data, __stop_image_data));
	copy(__start_image_bss, bss_kept, size_of(__start_image_bss, __stop_image_bss));
	copy(arena, arena_kept, used_when_kept);
	__asan_unpoison_memory_region(fresh, used - used_when_kept);
	memset(fresh, 0, used - used_when_kept);
	__asan_poison_memory_region(fresh, used - used_when_kept);
	used = used_when_kept;
}

/* A configuration that all inputs share: EBPFNF_FUZZ_CONFIG names its file. */
static void configure(const char *path)
{
	static char text[CONFIG_MOST + 1];
	FILE *file = fopen(path, "rb");
	const char *wrong = "no such configuration";

	if (file)
		wrong = config_read(text, (u32)fread(text, 1, CONFIG_MOST, file), false);
	if (wrong)
		broken(wrong);
	fclose(file);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *path = getenv("EBPFNF_FUZZ_CONFIG");

	(void)argc, (void)argv;
	__asan_poison_memory_region(arena, sizeof arena);
	if (path)
		configure(path);
	state_keep();
	return 0;
}

int LLVMFuzzerTestOneInput(const u8 *input, size_t size)
{
	struct record records[RECORDS];
	u32 n = records_read(input, size, records);

	state_restore();
	mend_begin();
	if (!setjmp(ended))
		run(records, n);
	return 0;
}
