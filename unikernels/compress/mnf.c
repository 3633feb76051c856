/* A packet at a time: no state, so whatever is lost, doubled or out of order on the way harms nothing but itself. */
#include "../ipcomp/codec.h"
#include "../net/headers.h"
#include "../net/prefix.h"
#include "manifest.h"

enum { PEERS = 256 };

static struct {
	u8 bytes[16], bits;
} peers[PEERS];
static u32 n_peers;

ADD(peers)
{
	if (n_peers == PEERS)
		return "too many peers";
	if (!prefix_read(item, peers[n_peers].bytes, &peers[n_peers].bits))
		return "a peer is no prefix";
	n_peers++;
	return 0;
}

READY()
{
	return codec_begin_pack();
}

static bool is_peer(const u8 *ip, u32 version)
{
	static const u8 mapped[12] = {[10] = 0xff, [11] = 0xff};
	u8 address[16];

	memcpy(address, version == 4 ? mapped : ip + 24, 12);
	memcpy(address + 12, ip + (version == 4 ? 16 : 36), 4);
	for (u32 i = 0; i < n_peers; i++)
		if (prefix_holds(peers[i].bytes, peers[i].bits, address))
			return true;
	return false;
}

MNF(struct frame *frame)
{
	static u8 packed[2048];
	struct headers h;
	u32 len, shorter, transform = cfg.algorithm == ALGORITHM_LZ4 ? LZ4 : DEFLATE;

	if (!headers_read(frame, &h) || h.fragment || h.options || (h.proto != TCP && h.proto != UDP))
		return NEXT;
	len = h.end - h.l4;
	if (len < cfg.smallest || len <= IPCOMP_HEADER + 1 || !is_peer(frame->data + h.ip, h.version))
		return NEXT;
	if (h.version == 4 && checksum(frame->data + h.ip, h.l4 - h.ip))
		return NEXT;	/* it would be mended, and the damage hidden */

	shorter = codec_pack(transform, frame->data + h.l4, len, packed, least(len - IPCOMP_HEADER - 1, sizeof packed));
	if (!shorter) {
		COUNT(incompressible, 1);
		return NEXT;
	}
	COUNT(compressed, 1);
	COUNT(bytes_in, len);
	COUNT(bytes_out, shorter + IPCOMP_HEADER);

	frame->data[h.l4] = h.proto;
	frame->data[h.l4 + 1] = 0;
	put16(frame->data + h.l4 + 2, transform);
	memcpy(frame->data + h.l4 + IPCOMP_HEADER, packed, shorter);
	ip_header_mend(frame->data + h.ip, h.version, IPCOMP, shorter + IPCOMP_HEADER);
	frame->len = h.l4 + IPCOMP_HEADER + shorter;
	return NEXT;
}
