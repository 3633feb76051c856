/* The only process of a Linux guest: loads its network device's modules, then sends back each frame that its packet socket hears. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BATCH = 64, ROOM = 2048 };

static void load(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/%s.ko", name);
	fd = open(path, O_RDONLY);
	syscall(SYS_finit_module, fd, "", 0);
	close(fd);
}

int main(void)
{
	static const char *const modules[] = {"virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci",
		"failover", "net_failover", "virtio_net"};
	static unsigned char frames[BATCH][ROOM];
	static struct iovec parts[BATCH];
	static struct mmsghdr messages[BATCH];
	struct ifreq card = {.ifr_name = "eth0"};
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int one = 1, line, room = 16 << 20;

	for (unsigned i = 0; i < sizeof modules / sizeof *modules; i++)
		load(modules[i]);
	line = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	while (ioctl(line, SIOCGIFFLAGS, &card))
		usleep(10000);
	card.ifr_flags |= IFF_UP | IFF_PROMISC;
	ioctl(line, SIOCSIFFLAGS, &card);
	address.sll_ifindex = (int)if_nametoindex("eth0");
	bind(line, (struct sockaddr *)&address, sizeof address);
	setsockopt(line, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
	setsockopt(line, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
	setsockopt(line, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	for (unsigned i = 0; i < BATCH; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
	for (;;) {
		for (unsigned i = 0; i < BATCH; i++)
			parts[i] = (struct iovec){frames[i], ROOM};
		int n = recvmmsg(line, messages, BATCH, MSG_WAITFORONE, 0);

		for (int i = 0; i < n; i++)
			parts[i].iov_len = messages[i].msg_len;
		for (int sent = 0, done; sent < n; sent += done)
			if ((done = sendmmsg(line, messages + sent, (unsigned)(n - sent), 0)) < 1)
				done = 0;	/* its queue is full */
	}
}
