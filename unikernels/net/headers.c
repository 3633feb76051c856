#include "headers.h"

static bool read_ipv4(const u8 *ip, u32 room, struct headers *found)
{
	u32 head = (ip[0] & 15) * 4u, total = get16(ip + 2);

	if (head < 20 || total < head || total > room)
		return false;
	found->proto = ip[9];
	found->fragment = (get16(ip + 6) & 0x3fff) != 0;
	found->options = false;
	found->l4 = found->ip + head;
	found->end = found->ip + total;
	return true;
}

static bool read_ipv6(const u8 *ip, u32 room, struct headers *found)
{
	u32 at = 40, end = 40 + get16(ip + 4);
	u8 next = ip[6];

	if (end > room || end == 40)
		return false;
	found->fragment = found->options = false;
	for (u32 i = 0; i < 8 && (next == 0 || next == 43 || next == 44 || next == 60); i++) {
		u32 len;

		if (at + 8 > end)
			return false;
		len = next == 44 ? 8 : (ip[at + 1] + 1u) * 8;
		found->fragment |= next == 44;
		found->options = true;
		next = ip[at];
		at += len;
		if (at > end)
			return false;
	}
	found->proto = next;
	found->l4 = found->ip + at;
	found->end = found->ip + end;
	return true;
}

bool headers_read(const struct frame *frame, struct headers *found)
{
	u32 at = 12, room;
	u16 type;

	if (frame->len < 14)
		return false;
	type = get16(frame->data + at);
	for (u32 i = 0; i < 2 && (type == 0x8100 || type == 0x88a8); i++) {
		at += 4;
		if (at + 2 > frame->len)
			return false;
		type = get16(frame->data + at);
	}
	found->ip = at + 2;
	room = frame->len - found->ip;
	if (type == 0x0800 && room >= 20 && frame->data[found->ip] >> 4 == 4) {
		found->version = 4;
		return read_ipv4(frame->data + found->ip, room, found);
	}
	if (type == 0x86dd && room >= 40 && frame->data[found->ip] >> 4 == 6) {
		found->version = 6;
		return read_ipv6(frame->data + found->ip, room, found);
	}
	return false;
}

bool transport_read(const struct frame *frame, const struct headers *headers, struct transport *found)
{
	const u8 *l4 = frame->data + headers->l4;
	u32 len = headers->end - headers->l4, head = 8;

	if (headers->fragment || len < 8 || (headers->proto != TCP && headers->proto != UDP))
		return false;
	found->flags = 0;
	if (headers->proto == TCP) {
		if (len < 20)
			return false;
		head = (l4[12] >> 4) * 4u;
		if (head < 20 || head > len)
			return false;
		found->seq = get32(l4 + 4);
		found->ack = get32(l4 + 8);
		found->flags = l4[13];
		found->window = get16(l4 + 14);
	}
	found->sport = get16(l4);
	found->dport = get16(l4 + 2);
	found->payload = headers->l4 + head;
	return true;
}

u16 checksum(const u8 *bytes, u32 len)
{
	u32 sum = 0;

	for (u32 i = 0; i + 1 < len; i += 2)
		sum += get16(bytes + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}

u16 checksum_mend(u16 old, u16 from, u16 to)
{
	u32 sum = (u16)~old + (u32)(u16)~from + to;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}
