/* pour INTERFACE MILLISECONDS WINDOW: frames of 64 bytes, at most WINDOW of them under way, each as it was sent when it comes back, once.
 * Prints how many came back and in how many ns, or says what came that was wrong. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, SIZE = 64, TYPE = 0x88b6, MOST = 1 << 24 };

struct frame {
	uint8_t to[6], from[6];
	uint16_t type, run;
	uint32_t number;
	uint8_t rest[SIZE - 20];
} __attribute__((packed));

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
	static struct frame out[BATCH], in[BATCH];
	static struct iovec parts[2][BATCH];
	static struct mmsghdr sends[BATCH], hears[BATCH];
	static uint8_t back[MOST];
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(TYPE), .sll_ifindex = (int)if_nametoindex(argv[1])};
	uint64_t begin, end, last, sent = 0, heard = 0;
	uint64_t window = argc > 3 ? (uint64_t)atoi(argv[3]) : 256;
	int one = 1, room = 32 << 20, line = socket(AF_PACKET, SOCK_RAW, htons(TYPE));

	if (bind(line, (struct sockaddr *)&address, sizeof address))
		return perror(argv[1]), 1;
	setsockopt(line, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
	setsockopt(line, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
	setsockopt(line, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	begin = last = now();
	end = begin + (uint64_t)atoi(argv[2]) * 1000000;
	for (unsigned i = 0; i < BATCH; i++) {
		out[i] = (struct frame){.to = {2, 0, 0, 0, 0, 9}, .from = {2, 0, 0, 0, 0, 1}, .type = htons(TYPE), .run = (uint16_t)begin};
		parts[0][i] = (struct iovec){&out[i], SIZE};
		parts[1][i] = (struct iovec){&in[i], SIZE};
		sends[i].msg_hdr = (struct msghdr){.msg_iov = &parts[0][i], .msg_iovlen = 1};
		hears[i].msg_hdr = (struct msghdr){.msg_iov = &parts[1][i], .msg_iovlen = 1};
	}
	while (now() < end || (heard < sent && now() < end + 2000000000)) {
		uint64_t free_ = now() < end && sent < MOST ? window - (sent - heard) : 0;
		int n = free_ > BATCH ? BATCH : (int)free_;

		for (int i = 0; i < n; i++)
			out[i].number = (uint32_t)(sent + (uint64_t)i);
		if (n > 0 && (n = sendmmsg(line, sends, (unsigned)n, 0)) > 0)
			sent += (uint64_t)n;
		int m = recvmmsg(line, hears, BATCH, MSG_DONTWAIT, 0);

		for (int i = 0; i < m; i++) {
			if (in[i].run != (uint16_t)begin)
				continue;
			if (hears[i].msg_len != SIZE || in[i].number >= sent || back[in[i].number]++ || memcmp(in[i].rest, out[0].rest, sizeof in[i].rest))
				return fprintf(stderr, "frame %u came back wrong or twice\n", in[i].number), 1;
			heard++;
			last = now();
		}
		if (m < 1 && sent - heard >= window)
			poll(&(struct pollfd){line, POLLIN, 0}, 1, 1);
	}
	if (heard != sent || !sent)
		return fprintf(stderr, "%lu of %lu frames did not come back\n", (unsigned long)(sent - heard), (unsigned long)sent), 1;
	printf("%lu %lu\n", (unsigned long)heard, (unsigned long)(last - begin));
	return 0;
}
