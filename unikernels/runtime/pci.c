/* Finds the virtio network device on the PCI bus, and routes its interrupts to the local APIC. */
#include "machine.h"

enum {
	VENDOR_VIRTIO = 0x1af4,
	NETWORK_OLD = 0x1000,	/* offers both interfaces */
	NETWORK = 0x1041,
	CAPABILITY_VENDOR = 0x09,
	CAPABILITY_MSIX = 0x11,
	VIRTIO_COMMON = 1,
	VIRTIO_NOTIFY = 2,
	VIRTIO_DEVICE = 4,
	MSIX_ENABLE = 1u << 31,
	MSIX_MASK_ALL = 1u << 30,
	CAPABILITIES_MOST = 48,
	LOCAL_APIC = 0xfee00000,
};

static u32 next_window = 0xe0000000;	/* for what the firmware left without an address */

static u32 read_config(u32 device, u32 offset)
{
	outl(0xcf8, 0x80000000 | device << 8 | (offset & ~3u));
	return inl(0xcfc);
}

static void write_config(u32 device, u32 offset, u32 value)
{
	outl(0xcf8, 0x80000000 | device << 8 | (offset & ~3u));
	outl(0xcfc, value);
}

/* Where a base address register points; null when not below 4 GiB. */
static volatile u8 *window(u32 device, u32 index)
{
	u32 offset = 0x10 + 4 * index, low, size;

	if (index > 5)
		return 0;
	low = read_config(device, offset);
	if (low & 1 || ((low & 6) == 4 && index < 5 && read_config(device, offset + 4)))
		return 0;
	if (low & ~15u)
		return (volatile u8 *)(u64)(low & ~15u);
	write_config(device, offset, ~0u);
	size = ~(read_config(device, offset) & ~15u) + 1;
	if (size < 4096)
		size = 4096;
	next_window = (next_window + size - 1) & ~(size - 1);
	write_config(device, offset, next_window);
	low = next_window;
	next_window += size;
	return (volatile u8 *)(u64)low;
}

static bool find(u32 bus, u32 *device)
{
	for (u32 slot = 0; slot < 32; slot++) {
		u32 place = bus << 8 | slot << 3, id = read_config(place, 0), below;

		if (id == (NETWORK << 16 | VENDOR_VIRTIO) || id == (NETWORK_OLD << 16 | VENDOR_VIRTIO)) {
			*device = place;
			return true;
		}
		if (id == ~0u || (read_config(place, 0x0c) >> 16 & 0x7f) != 1)
			continue;
		below = read_config(place, 0x18) >> 8 & 0xff;	/* a bridge */
		if (below > bus && find(below, device))
			return true;
	}
	return false;
}

static bool route_interrupts(u32 device, u32 capability)
{
	u32 table = read_config(device, capability + 4);
	volatile u8 *base = window(device, table & 7);
	volatile u32 *entry, *apic = (volatile u32 *)(u64)LOCAL_APIC;

	if (!base)
		return false;
	entry = (volatile u32 *)(base + (table & ~7u));
	entry[0] = LOCAL_APIC;
	entry[1] = 0;
	entry[2] = 0x40;	/* the vector */
	entry[3] = 0;
	write_config(device, capability, (read_config(device, capability) & ~MSIX_MASK_ALL) | MSIX_ENABLE);
	apic[0xf0 / 4] = 0x1ff;	/* on, spurious vector 0xff */
	apic[0x80 / 4] = 0;
	return true;
}

bool pci_find_network(struct virtio_device *found)
{
	u32 device, at, seen = 0;
	bool interrupts = false;

	if (!find(0, &device))
		return false;
	write_config(device, 4, (read_config(device, 4) & 0xffff) | 6);	/* memory, bus master */
	for (at = read_config(device, 0x34) & 0xfc; at && seen++ < CAPABILITIES_MOST; at = read_config(device, at) >> 8 & 0xfc) {
		u32 head = read_config(device, at), kind = head >> 24;
		volatile u8 *base;

		if ((head & 0xff) == CAPABILITY_MSIX)
			interrupts = route_interrupts(device, at);
		if ((head & 0xff) != CAPABILITY_VENDOR || (kind != VIRTIO_COMMON && kind != VIRTIO_NOTIFY && kind != VIRTIO_DEVICE))
			continue;
		base = window(device, read_config(device, at + 4) & 0xff);
		if (!base)
			return false;
		base += read_config(device, at + 8);
		if (kind == VIRTIO_COMMON)
			found->common = base;
		else if (kind == VIRTIO_DEVICE)
			found->config = base;
		else
			found->notify = base, found->notify_step = read_config(device, at + 16);
	}
	return interrupts && found->common && found->notify && found->config;
}
