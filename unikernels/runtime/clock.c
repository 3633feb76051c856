/* Time from the time stamp counter, whose rate the HPET tells. It is measured while the network is set up, so that nobody waits for it. */
#include "machine.h"

enum {
	HPET = 0xfed00000,
	PERIOD = 4,	/* of a tick, in femtoseconds */
	PERIOD_MOST = 100000000,
	SETTINGS = 0x10,
	ENABLE = 1,
	TICKS = 0xf0,	/* the lower half: 43 s at qemu's 100 MHz */
	MEASURED = 1000000,	/* at least a millisecond */
};

#define HPET32(offset) (*(volatile u32 *)(u64)(HPET + (offset)))

static u64 start, multiplier;	/* nanoseconds of a cycle, << 24 */
static u32 first;

void clock_begin(void)
{
	HPET32(SETTINGS) |= ENABLE;
	first = HPET32(TICKS);
	start = read_tsc();
}

void clock_measure(void)
{
	u32 period = HPET32(PERIOD), polls = 0;
	u64 passed = 0, cycles = 0;

	while (period && period <= PERIOD_MOST && passed < MEASURED && ++polls < 1000000) {
		passed = (u64)(HPET32(TICKS) - first) * period / 1000000;
		cycles = read_tsc() - start;
	}
	/* Without the HPET: as if it were 2 GHz; time-outs stay of their order. */
	multiplier = cycles ? (passed << 24) / cycles : 1 << 23;
	clock_update();
}

void clock_update(void)
{
	clock_now = (u64)((unsigned __int128)(read_tsc() - start) * multiplier >> 24);
}
