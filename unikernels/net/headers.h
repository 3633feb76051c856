/* Where the headers of a frame are. Everything is checked here, so that who uses the result need not. */
#pragma once

#include "mnf.h"

enum { TCP = 6, UDP = 17, IPCOMP = 108 };

struct headers {
	u8 version;	/* of IP: 4 or 6 */
	u8 proto;	/* behind the IP header */
	bool fragment;
	bool options;	/* IPv6: headers between that of IP and the next */
	u32 ip;		/* offset of the IP header */
	u32 l4;		/* of what is behind it */
	u32 end;	/* of the packet, without Ethernet's padding */
};

struct transport {
	u16 sport, dport;
	u8 flags;	/* of TCP */
	u32 seq, ack, window;
	u32 payload;	/* offset */
};

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16, URG = 32 };

/* False: no IP that is whole. VLAN tags are skipped, at most two. */
bool headers_read(const struct frame *frame, struct headers *found);

/* The header of TCP or UDP; false where there is none that is whole. */
bool transport_read(const struct frame *frame, const struct headers *headers, struct transport *found);

/* The 16 bits behind an IPv4 header's sum; 0 over a right one. */
u16 checksum(const u8 *bytes, u32 len);

/* The sum of `old` where the 16 bits `from` became `to` (RFC 1624). */
u16 checksum_mend(u16 old, u16 from, u16 to);
