/* Time from the time stamp counter, whose rate the ACPI timer tells. */
#include "machine.h"

enum {
	ACPI_TIMER = 0x608,	/* 24 bits */
	ACPI_HZ = 3579545,
	MEASURED = ACPI_HZ / 1000,	/* a millisecond */
};

static u64 start, multiplier;	/* nanoseconds of a cycle, << 24 */

void clock_begin(void)
{
	u32 first = inl(ACPI_TIMER), passed, polls = 0;

	start = read_tsc();
	do
		passed = (inl(ACPI_TIMER) - first) & 0xffffff;
	while (passed < MEASURED && ++polls < 100000);
	/* Without the timer: as if it were 2 GHz; time-outs stay of their order. */
	multiplier = passed ? ((u64)passed * 1000000000 / ACPI_HZ << 24) / (read_tsc() - start + 1) : 1 << 23;
}

void clock_update(void)
{
	clock_now = (u64)((unsigned __int128)(read_tsc() - start) * multiplier >> 24);
}
