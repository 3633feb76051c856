/*
 * virtio-net with two split rings. A frame is received, changed and sent in one buffer; the buffer's index is its descriptor's memory of it.
 * The host writes the rings while we read: every number that comes from there is checked before it is used.
 */
#include "machine.h"

enum {
	QUEUE = 256,
	BUFFERS = 3 * QUEUE,	/* a queue full to receive, one to send, one in our hands */
	BUFFER = 2048,
	HEADER = 12,
	RECEIVE = 0,
	SEND = 1,
	WRITABLE = 2,
	NO_INTERRUPT = 1,
	NO_NOTIFY = 1,
	ACKNOWLEDGE = 1,
	DRIVER = 2,
	DRIVER_OK = 4,
	FEATURES_OK = 8,
	FEATURE_MAC = 1 << 5,
	FEATURE_VERSION_1 = 1 << 0,	/* of the upper half */
	NO_VECTOR = 0xffff,
};

struct descriptor {
	u64 address;
	u32 length;
	u16 flags, next;
};

struct ring {
	struct descriptor table[QUEUE];
	struct {
		u16 flags, index, entries[QUEUE], event;
	} offered;
	struct {
		u16 flags, index;
		struct {
			u32 id, length;
		} entries[QUEUE];
		u16 event;
	} used __attribute__((aligned(4096)));
};

struct queue {
	volatile struct ring *ring;
	volatile u16 *doorbell;
	u16 number, taken, given;
	bool pending;
	u16 buffer[QUEUE];	/* of each descriptor */
};

static struct queue receive = {.number = RECEIVE}, send = {.number = SEND};
static struct virtio_device device;
static u8 *buffers;
static u16 free_buffers[BUFFERS], n_free, free_slots[QUEUE], n_slots;

#define COMMON8(offset) (*(volatile u8 *)(device.common + (offset)))
#define COMMON16(offset) (*(volatile u16 *)(device.common + (offset)))
#define COMMON32(offset) (*(volatile u32 *)(device.common + (offset)))

static u8 *start_of(u16 buffer)
{
	return buffers + (u32)buffer * BUFFER;
}

static u16 buffer_of(const struct frame *frame)
{
	return (u16)((u64)(frame->data - buffers) / BUFFER);
}

static void give(struct queue *q, u16 slot, u16 buffer, u32 length, u16 flags)
{
	q->buffer[slot] = buffer;
	q->ring->table[slot].address = (u64)start_of(buffer);
	q->ring->table[slot].length = length;
	q->ring->table[slot].flags = flags;
	q->ring->offered.entries[q->given++ % QUEUE] = slot;
	q->pending = true;
}

static void publish(struct queue *q)
{
	if (!q->pending)
		return;
	q->pending = false;
	compiler_barrier();
	q->ring->offered.index = q->given;
	memory_barrier();
	if (!(q->ring->used.flags & NO_NOTIFY))
		*q->doorbell = q->number;
}

/* The next descriptor that the host is done with. */
static bool take(struct queue *q, u16 *slot, u32 *length)
{
	u16 waiting = (u16)(q->ring->used.index - q->taken);

	if (!waiting)
		return false;
	compiler_barrier();
	u32 id = q->ring->used.entries[q->taken % QUEUE].id;

	*length = q->ring->used.entries[q->taken % QUEUE].length;
	if (waiting > QUEUE || id >= QUEUE || q->buffer[id] >= BUFFERS)
		platform_fail("the network device broke its ring");
	*slot = (u16)id;
	q->taken++;
	return true;
}

static void reap(void)
{
	u32 length;
	u16 slot;

	while (take(&send, &slot, &length)) {
		free_buffers[n_free++] = send.buffer[slot];
		free_slots[n_slots++] = slot;
		send.buffer[slot] = BUFFERS;	/* returned twice would be noticed */
	}
}

static void make_queue(struct queue *q, u16 vector)
{
	q->ring = memory_aligned(sizeof(struct ring), 4096);
	COMMON16(22) = q->number;
	if (COMMON16(24) < QUEUE)
		platform_fail("the network device's queues are too short");
	COMMON16(24) = QUEUE;
	COMMON16(26) = vector;
	COMMON32(32) = (u32)(u64)q->ring->table;
	COMMON32(36) = 0;
	COMMON32(40) = (u32)(u64)&q->ring->offered;
	COMMON32(44) = 0;
	COMMON32(48) = (u32)(u64)&q->ring->used;
	COMMON32(52) = 0;
	q->doorbell = (volatile u16 *)(device.notify + COMMON16(30) * device.notify_step);
	q->ring->offered.flags = NO_INTERRUPT;
	COMMON16(28) = 1;
}

bool network_begin(void)
{
	if (!pci_find_network(&device))
		return false;
	COMMON8(20) = 0;
	COMMON8(20) = ACKNOWLEDGE;
	COMMON8(20) = ACKNOWLEDGE | DRIVER;
	COMMON32(0) = 1;
	if (!(COMMON32(4) & FEATURE_VERSION_1))
		platform_fail("the network device is older than virtio 1");
	COMMON32(8) = 0;
	COMMON32(12) = FEATURE_MAC;	/* nothing that makes frames larger than a buffer or leaves checksums out */
	COMMON32(8) = 1;
	COMMON32(12) = FEATURE_VERSION_1;
	COMMON8(20) = ACKNOWLEDGE | DRIVER | FEATURES_OK;
	if (!(COMMON8(20) & FEATURES_OK))
		platform_fail("the network device refused its features");
	for (u32 i = 0; i < 6; i++)
		own_address[i] = device.config[i];

	buffers = memory_aligned(BUFFERS * BUFFER, 4096);
	while (n_free < BUFFERS)
		free_buffers[n_free] = n_free, n_free++;
	make_queue(&receive, 0);
	make_queue(&send, NO_VECTOR);
	for (u16 slot = 0; slot < QUEUE; slot++) {
		free_slots[n_slots++] = slot;
		send.buffer[slot] = BUFFERS;
		give(&receive, slot, free_buffers[--n_free], BUFFER, WRITABLE);
	}
	COMMON8(20) = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
	publish(&receive);
	return true;
}

static void describe(struct frame *frame, u16 buffer, u32 len)
{
	frame->data = start_of(buffer) + HEADER;
	frame->len = len;
	frame->room = BUFFER - HEADER;
}

bool network_new(struct frame *frame)
{
	if (!n_free)
		reap();
	if (!n_free)
		return false;
	describe(frame, free_buffers[--n_free], 0);
	return true;
}

bool network_receive(struct frame *frame)
{
	struct frame fresh;
	u32 length;
	u16 slot;

	if (!network_new(&fresh))
		return false;	/* everything waits to be sent */
	if (!take(&receive, &slot, &length)) {
		network_free(&fresh);
		return false;
	}
	if (length < HEADER || length > BUFFER)
		platform_fail("the network device wrote a frame of a length that can't be");
	describe(frame, receive.buffer[slot], length - HEADER);
	give(&receive, slot, buffer_of(&fresh), BUFFER, WRITABLE);
	return true;
}

void network_free(struct frame *frame)
{
	free_buffers[n_free++] = buffer_of(frame);
}

void network_send(struct frame *frame)
{
	u8 *header = frame->data - HEADER;

	while (!n_slots) {	/* the host is behind: what it has not taken is not ours to drop */
		network_flush();
		reap();
	}
	memset(header, 0, HEADER);
	give(&send, free_slots[--n_slots], buffer_of(frame), frame->len + HEADER, 0);
}

void network_flush(void)
{
	publish(&receive);
	publish(&send);
	reap();
}

void network_finish(void)
{
	u64 polls = 0;

	network_flush();
	while (n_slots < QUEUE && ++polls < 100000000)
		reap();
}

void network_wait(void)
{
	receive.ring->offered.flags = 0;
	memory_barrier();
	if (receive.taken == receive.ring->used.index)
		halt();
	receive.ring->offered.flags = NO_INTERRUPT;
}
