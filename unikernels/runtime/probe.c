/* A machine without a network device wants to know whether it runs us well: we are in ring 3 here, use SSE, and say how long a loop took. */
#include "machine.h"

enum { ROUNDS = 1000000 };

void probe(void)
{
	u64 start = read_tsc(), rounds = ROUNDS, doubled;

	__asm__ volatile("1: dec %0; jnz 1b" : "+r"(rounds));
	start = read_tsc() - start;
	__asm__ volatile("movq %1, %%xmm4; paddq %%xmm4, %%xmm4; movq %%xmm4, %0" : "=r"(doubled) : "r"(start) : "xmm4");
	if (doubled != 2 * start)
		platform_fail("SSE does not add");
	say("ebpfnf: cycles of a round, in thousandths: ");
	say_hex(start / (ROUNDS / 1000));
	say("\n");
}
