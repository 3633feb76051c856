#include "../ipcomp/codec.h"
#include "../net/headers.h"
#include "manifest.h"

READY()
{
	return codec_begin_unpack();
}

MNF(struct frame *frame)
{
	static u8 restored[2048];
	struct headers h;
	u32 len, transform, room;
	u8 proto;

	if (!headers_read(frame, &h) || h.fragment || h.options || h.proto != IPCOMP)
		return NEXT;
	if (h.end - h.l4 <= IPCOMP_HEADER)
		return DROP(corrupt);
	proto = frame->data[h.l4];
	transform = get16(frame->data + h.l4 + 2);
	if (transform != LZ4 && transform != DEFLATE) {
		COUNT(unknown, 1);
		return NEXT;
	}
	if (h.version == 4 && checksum(frame->data + h.ip, h.l4 - h.ip))
		return DROP(corrupt);

	room = least(frame->room - h.l4, sizeof restored);
	len = codec_unpack(transform, frame->data + h.l4 + IPCOMP_HEADER, h.end - h.l4 - IPCOMP_HEADER, restored, room);
	if (!len || (proto != TCP && proto != UDP))
		return DROP(corrupt);
	if (h.l4 - h.ip + len > cfg.mtu)
		return DROP(too_big);
	COUNT(restored, 1);
	memcpy(frame->data + h.l4, restored, len);
	ip_header_mend(frame->data + h.ip, h.version, proto, len);
	frame->len = h.l4 + len;
	return NEXT;
}
