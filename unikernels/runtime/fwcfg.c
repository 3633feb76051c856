/* qemu's fw_cfg, by DMA: how the configuration comes in. */
#include "machine.h"

enum {
	DMA_PORT = 0x514,
	SIGNATURE = 0x00,
	DIRECTORY = 0x19,
	FILES_MOST = 64,
	DMA_ERROR = 1,
	DMA_READ = 2,
	DMA_SELECT = 8,
};

struct request {
	u32 control, length;
	u64 address;
};

struct entry {
	u32 size;
	u16 select, reserved;
	char name[56];
};

static bool transfer(u16 select, void *to, u32 bytes)
{
	static volatile struct request request __attribute__((aligned(16)));
	u32 polls = 0;

	request.length = __builtin_bswap32(bytes);
	request.address = __builtin_bswap64((u64)to);
	request.control = __builtin_bswap32((u32)select << 16 | DMA_SELECT | DMA_READ);
	compiler_barrier();
	outl(DMA_PORT, 0);
	outl(DMA_PORT + 4, __builtin_bswap32((u32)(u64)&request));
	while (__builtin_bswap32(request.control) & ~(u32)DMA_ERROR)
		if (++polls > 100000000)
			return false;
	return !request.control;
}

char *fwcfg_read(const char *name, u32 most, u32 *len)
{
	static struct {
		u32 count;
		struct entry entries[FILES_MOST];
	} directory;
	char signature[4], *file;
	u32 count;

	if (!transfer(SIGNATURE, signature, 4) || memcmp(signature, "QEMU", 4))
		return 0;
	if (!transfer(DIRECTORY, &directory, sizeof directory))
		return 0;
	count = least(__builtin_bswap32(directory.count), FILES_MOST);
	for (u32 i = 0; i < count; i++) {
		struct entry *entry = &directory.entries[i];

		entry->name[sizeof entry->name - 1] = 0;
		if (strcmp(entry->name, name))
			continue;
		*len = __builtin_bswap32(entry->size);
		if (*len > most)
			platform_fail("the configuration is too long");
		file = memory(*len + 1);
		if (!transfer(__builtin_bswap16(entry->select), file, *len))
			platform_fail("the configuration can't be read");
		return file;
	}
	return 0;
}
