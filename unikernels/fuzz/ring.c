/*
 * The guest's network (runtime/network.c) before a host that follows the rules, until a record says what else it writes into the rings. A frame
 * is one that the host delivers; CLOCK: the host takes what was sent; CONFIG: its bytes are entries of the rings, as the host must not write them.
 * Whatever it does, the guest uses no memory but its own, each buffer in one place, or ends by itself.
 */
#include "../runtime/machine.h"
#include "fuzz.h"

enum { QUEUE = 256, BUFFER = 2048, HEADER = 12, RECEIVE = 0, SEND = 1, PAGE = 4096 };

struct descriptor {
	u64 address;
	u32 length;
	u16 flags, next;
};

struct offered {
	u16 flags, index, entries[QUEUE], event;
};

struct used {
	u16 flags, index;
	struct {
		u32 id, length;
	} entries[QUEUE];
};

/* What the guest asked memory for, in order: its buffers, then a ring of each queue. */
static struct {
	u8 *start;
	size_t size;
} blocks[3];
static u32 n_blocks;
static u16 seen[2];	/* of what was offered, up to where the host has looked */
static u8 registers[64], doorbells[64], address[6];

void *memory_aligned(size_t bytes, size_t align)
{
	size_t start = (size_t)memory(bytes + align) + align - 1;

	if (n_blocks == ARRAY_SIZE(blocks))
		broken("more memory than for the buffers and two rings");
	blocks[n_blocks].start = (u8 *)(start & ~(align - 1));
	blocks[n_blocks].size = bytes;
	return blocks[n_blocks++].start;
}

bool pci_find_network(struct virtio_device *device)
{
	*device = (struct virtio_device){.common = registers, .notify = doorbells, .config = address, .notify_step = 4};
	return true;
}

static struct descriptor *table(u32 queue)
{
	return (void *)blocks[1 + queue].start;
}

static struct offered *offered(u32 queue)
{
	return (void *)(blocks[1 + queue].start + sizeof(struct descriptor) * QUEUE);
}

static struct used *used(u32 queue)
{
	size_t behind = sizeof(struct descriptor) * QUEUE + sizeof(struct offered);

	return (void *)(blocks[1 + queue].start + (behind + PAGE - 1) / PAGE * PAGE);
}

/* The buffer of a descriptor; it must be one of the guest's, whole. */
static u8 *buffer_of(const struct descriptor *d)
{
	u64 offset = d->address - (u64)blocks[0].start;

	if (offset >= blocks[0].size || offset % BUFFER || d->length > BUFFER || d->length < HEADER)
		broken("a descriptor beyond the guest's buffers");
	return blocks[0].start + offset;
}

/* No buffer is both sent and to be received into, as long as the host keeps the rules. */
static void check_buffers(void)
{
	static u8 where[1024];

	memset(where, 0, sizeof where);
	for (u32 queue = 0; queue < 2; queue++)
		for (u16 i = used(queue)->index; i != offered(queue)->index; i++) {
			u16 id = offered(queue)->entries[i % QUEUE];

			if (id >= QUEUE)
				broken("a descriptor beyond the ring");
			if (where[(u64)(buffer_of(&table(queue)[id]) - blocks[0].start) / BUFFER]++)
				broken("a buffer in two places");
		}
}

static void return_used(u32 queue, u32 id, u32 length)
{
	struct used *ring = used(queue);

	ring->entries[ring->index % QUEUE].id = id;
	ring->entries[ring->index % QUEUE].length = length;
	ring->index++;
}

static void deliver(const struct record *record)
{
	u32 len = least(record->len, ROOM);
	u16 id;
	u8 *buffer;

	if (seen[RECEIVE] == offered(RECEIVE)->index)
		return;	/* the guest has given no buffer: a host would wait */
	id = offered(RECEIVE)->entries[seen[RECEIVE]++ % QUEUE];
	buffer = buffer_of(&table(RECEIVE)[id]);
	memset(buffer, 0, HEADER);
	memcpy(buffer + HEADER, record->data, len);
	mend(buffer + HEADER, len, record->flags);
	return_used(RECEIVE, id, len + HEADER);
}

static void take_sent(void)
{
	for (; seen[SEND] != offered(SEND)->index; seen[SEND]++) {
		u16 id = offered(SEND)->entries[seen[SEND] % QUEUE];

		buffer_of(&table(SEND)[id]);
		return_used(SEND, id, 0);
	}
}

/* Entries of u8 what, u16 id, u16 length: returned though it was not offered, at another place, or with a length that can't be. */
static void misbehave(const struct record *record)
{
	for (u32 at = 0; at + 5 <= record->len; at += 5) {
		const u8 *entry = record->data + at;
		u32 queue = entry[0] & 1, id = get16(entry + 1), length = get16(entry + 3);

		if (entry[0] & 2)
			used(queue)->index += (u16)id;
		else
			return_used(queue, entry[0] & 4 ? seen[queue] % QUEUE : id, entry[0] & 8 ? length << 16 : length);
	}
}

/* As in main.c. */
static void serve(void)
{
	struct frame frame;

	while (network_receive(&frame))
		if (core_frame(&frame) || frame.len)
			network_send(&frame);
		else
			network_free(&frame);
	network_flush();
}

void run(const struct record *records, u32 n)
{
	bool honest = true;
	char nothing[1];

	n_blocks = seen[RECEIVE] = seen[SEND] = 0;
	memset(registers, 0, sizeof registers);
	registers[4] = 1;	/* virtio 1 */
	registers[25] = QUEUE >> 8;
	if (config_read(nothing, 0, false) || !network_begin())
		broken("the image does not start");
	for (u32 i = 0; i < n && !quit_wanted; i++) {
		if (records[i].kind == FRAME)
			deliver(&records[i]);
		if (records[i].kind != FRAME || (u16)(offered(SEND)->index - seen[SEND]) == QUEUE)
			take_sent();	/* with its ring full the guest would wait for a host that does nothing more */
		if (records[i].kind == CONFIG) {
			honest = false;
			misbehave(&records[i]);
		}
		serve();
		if (honest)
			check_buffers();
	}
}
