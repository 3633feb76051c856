/* flood INTERFACE RATE MILLISECONDS FRAME: the frame, in hex digits, RATE times a second, catching up where something else had the CPU.
 * Prints how many the interface took and in how many ns. */
#define _GNU_SOURCE
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, MOST = 2048 };

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = argc > 4 ? (int)if_nametoindex(argv[1]) : 0};
	uint64_t rate, sent = 0, begin, end, at;
	int one = 1, line = socket(AF_PACKET, SOCK_RAW, 0);
	static struct mmsghdr sends[BATCH];
	uint8_t frame[MOST];
	struct iovec part = {frame, 0};

	if (!address.sll_ifindex || bind(line, (struct sockaddr *)&address, sizeof address))
		return perror("flood"), 1;
	for (const char *hex = argv[4]; part.iov_len < MOST && sscanf(hex, "%2hhx", &frame[part.iov_len]) == 1; hex += 2)
		part.iov_len++;
	for (unsigned i = 0; i < BATCH; i++)
		sends[i].msg_hdr = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
	setsockopt(line, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
	rate = strtoull(argv[2], 0, 10);
	begin = at = now();
	end = begin + strtoull(argv[3], 0, 10) * 1000000;
	for (; at < end; at = now()) {
		uint64_t due = (at - begin) * rate / 1000000000 - sent;
		int n = due ? sendmmsg(line, sends, due < BATCH ? (unsigned)due : BATCH, 0) : 0;

		if (n > 0)
			sent += (uint64_t)n;
		else
			nanosleep(&(struct timespec){.tv_nsec = 50000}, 0);
	}
	printf("%lu %lu\n", (unsigned long)sent, (unsigned long)(at - begin));
	return 0;
}
