/* The serial console, and the ways out. Compiled without SSE: the trap handler of ring 0 uses it. */
#include "machine.h"

static void put(char c)
{
	outb(0x3f8, (u8)c);
}

void say(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			put('\r');
		put(*text);
	}
}

void say_hex(u64 value)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		put("0123456789abcdef"[value >> shift & 15]);
}

void power_off(void)
{
	outb(0xcf9, 6);	/* the chipset's reset, which ends the machine; there is no ACPI */
	for (;;)
		;
}

void platform_fail(const char *what)
{
	say("ebpfnf: failed: ");
	say(what);
	say("\n");
	power_off();
}

/* `frame`: number, error code and instruction pointer, as the fault's stub and the processor pushed them. */
void trap(const u64 *frame) __attribute__((noreturn));
void trap(const u64 *frame)
{
	u64 address;

	__asm__ volatile("mov %%cr2, %0" : "=r"(address));
	say("ebpfnf: fault ");
	say_hex(frame[0]);
	say(" error ");
	say_hex(frame[1]);
	say(" at ");
	say_hex(frame[2]);
	say(" address ");
	say_hex(address);
	say("\n");
	power_off();
}

/* What the compiler's stack protector calls. */
void __stack_chk_fail(void) __attribute__((noreturn));
void __stack_chk_fail(void)
{
	platform_fail("a stack was overwritten");
}
