/* Instructions and devices of the guest. */
#pragma once

#include "core.h"

static inline void outb(u16 port, u8 value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "d"(port) : "memory");
}

static inline void outl(u16 port, u32 value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "d"(port) : "memory");
}

static inline u8 inb(u16 port)
{
	u8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "d"(port) : "memory");
	return value;
}

static inline u32 inl(u16 port)
{
	u32 value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "d"(port) : "memory");
	return value;
}

static inline u64 read_tsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

/* Sleeps until an interrupt. */
static inline void halt(void)
{
	__asm__ volatile("hlt" : : : "memory");
}

static inline void compiler_barrier(void)
{
	__asm__ volatile("" : : : "memory");
}

static inline void memory_barrier(void)
{
	__asm__ volatile("lock orl $0, (%%rsp)" : : : "memory", "cc");
}

/* console.c: safe in ring 0 too */
void say(const char *text);
void say_hex(u64 value);
void power_off(void) __attribute__((noreturn));

/* memory.c */
void memory_begin(u64 end);
void *memory_aligned(size_t bytes, size_t align);

/* fwcfg.c: the file, a byte behind it; null when there is none */
char *fwcfg_read(const char *name, u32 most, u32 *len);

/* clock.c */
void clock_begin(void);
void clock_measure(void);	/* a millisecond later at the earliest: it waits for that */
void clock_update(void);

/* pci.c */
struct virtio_device {
	volatile u8 *common, *notify, *config;
	u32 notify_step;
};
bool pci_find_network(struct virtio_device *device);

/* probe.c */
void probe(void);

/* network.c */
bool network_begin(void);			/* false: this machine has no such device */
bool network_receive(struct frame *frame);	/* takes the next; false: there is none */
void network_send(struct frame *frame);		/* gives it back, and sends it */
void network_free(struct frame *frame);
bool network_new(struct frame *frame);
void network_flush(void);			/* what is queued becomes visible to the host */
void network_finish(void);			/* returns when the host has taken everything */
void network_wait(void);			/* until there may be something to receive */
