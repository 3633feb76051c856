/* The guest: from the first instruction in C to the loop over frames. */
#include "machine.h"

enum { BATCH = 64, MEMORY_LEAST = 8 << 20, BELOW_DEVICES = 0xc0000000 };

struct memory_region {
	u64 address, size;
	u32 kind, reserved;
};

struct start_info {
	u32 magic, version, flags, n_modules;
	u64 modules, command_line, rsdp, memory_map;
	u32 n_regions, reserved;
};

static u64 end_of_memory(const struct start_info *info)
{
	const struct memory_region *map = (const void *)info->memory_map;
	u64 end = MEMORY_LEAST;

	if (info->version < 1 || info->memory_map >= BELOW_DEVICES)
		return end;
	for (u32 i = 0; i < least(info->n_regions, 128); i++)
		if (map[i].kind == 1 && map[i].address <= 0x100000 && map[i].address + map[i].size > end)
			end = map[i].address + map[i].size;
	return end < BELOW_DEVICES ? end : BELOW_DEVICES;
}

static void configure(void)
{
	u32 len = 0;
	char nothing[1], *text = fwcfg_read("opt/ebpfnf/config", CONFIG_MOST, &len);
	const char *wrong = config_read(text ? text : nothing, text ? len : 0, false);

	if (!wrong)
		return;
	say("ebpfnf: configuration refused: ");
	say(wrong);
	say("\n");
	power_off();
}

static void serve(void)
{
	struct frame frame;

	for (;;) {
		u32 n = 0;

		clock_update();
		while (n < BATCH && network_receive(&frame)) {
			n++;
			if (core_frame(&frame) || frame.len)
				network_send(&frame);
			else
				network_free(&frame);
		}
		network_flush();
		if (quit_wanted) {
			network_finish();
			power_off();
		}
		if (!n)
			network_wait();
	}
}

void guest_main(const struct start_info *info) __attribute__((noreturn));
void guest_main(const struct start_info *info)
{
	struct frame frame;

	memory_begin(end_of_memory(info));
	clock_begin();
	if (!network_begin()) {
		probe();
		platform_fail("no virtio network device with MSI-X on PCI");
	}
	clock_measure();
	configure();
	if (network_new(&frame)) {
		control_ready(&frame);
		network_send(&frame);
		network_flush();
	}
	say("ebpfnf: ready\n");
	serve();
	__builtin_unreachable();
}
