#include "../net/headers.h"
#include "codec.h"

void ip_header_mend(u8 *ip, u32 version, u8 proto, u32 len)
{
	u32 head = (ip[0] & 15) * 4u;

	if (version == 6) {
		put16(ip + 4, len);
		ip[6] = proto;
		return;
	}
	put16(ip + 2, head + len);
	ip[9] = proto;
	put16(ip + 10, 0);
	put16(ip + 10, checksum(ip, head));
}
