/* Frames that were changed, made right in part. None of this is shared with what is tested. */
#include "fuzz.h"

enum { FLOWS = 64 };

static struct {
	u32 next[2];	/* sequence numbers, of either side */
} flows[FLOWS];

struct layout {
	u32 ip, l4;
	u8 version, proto;
};

void mend_begin(void)
{
	for (u32 i = 0; i < FLOWS; i++)
		flows[i].next[0] = flows[i].next[1] = i * 0x1000000 - 500;	/* some begin just below 0 */
}

static bool locate(const u8 *frame, u32 len, struct layout *found)
{
	u32 at = 12, type;

	while (at + 6 <= len && (get16(frame + at) == 0x8100 || get16(frame + at) == 0x88a8))
		at += 4;
	if (at + 2 + 20 > len)
		return false;
	type = get16(frame + at);
	found->ip = at + 2;
	if (type == 0x0800) {
		found->version = 4;
		found->proto = frame[found->ip + 9];
		found->l4 = found->ip + (frame[found->ip] & 15) * 4u;
	} else if (type == 0x86dd && found->ip + 40 <= len) {
		found->version = 6;
		found->proto = frame[found->ip + 6];
		found->l4 = found->ip + 40;
		while ((found->proto == 0 || found->proto == 43 || found->proto == 60) && found->l4 + 8 <= len) {
			found->proto = frame[found->l4];
			found->l4 += (frame[found->l4 + 1] + 1u) * 8;
		}
	} else {
		return false;
	}
	return true;
}

static u32 add(const u8 *bytes, u32 len, u32 sum)
{
	for (u32 i = 0; i < len; i++)
		sum += i % 2 ? bytes[i] : (u32)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void mend_sums(u8 *frame, u32 len, const struct layout *l)
{
	u32 addresses = l->version == 4 ? 8 : 32, from = l->ip + (l->version == 4 ? 12 : 8);

	if (l->version == 4 && l->l4 <= len) {
		put16(frame + l->ip + 10, 0);
		put16(frame + l->ip + 10, (u16)~add(frame + l->ip, l->l4 - l->ip, 0));
	}
	if (l->proto == 6 && l->l4 + 20 <= len) {
		put16(frame + l->l4 + 16, 0);
		put16(frame + l->l4 + 16, (u16)~add(frame + l->l4, len - l->l4, add(frame + from, addresses, 6 + len - l->l4)));
	}
}

static void put32(u8 *p, u32 v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

/* Sequence and acknowledgement count from where both sides are; they move on by what this segment has. */
static void number(u8 *frame, u32 len, const struct layout *l)
{
	u8 *tcp = frame + l->l4;
	u32 side = get16(tcp) < get16(tcp + 2), head = (tcp[12] >> 4) * 4u, seq, end;
	u32 *next = flows[(get16(tcp) + get16(tcp + 2)) % FLOWS].next;

	seq = next[side] + get32(tcp + 4);
	put32(tcp + 4, seq);
	put32(tcp + 8, next[!side] + get32(tcp + 8));
	end = seq + (tcp[13] >> 1 & 1) + (l->l4 + head < len ? len - l->l4 - head : 0);
	if ((int32_t)(end - next[side]) > 0)
		next[side] = end;
}

void mend(u8 *frame, u32 len, u8 flags)
{
	static const int wrong[8] = {0, 1, -1, 2, 8, -8, 40, -20};
	u32 said = len + (u32)wrong[flags >> 5];
	struct layout l;

	if (len >= CONTROL_HEAD && get16(frame + 12) == CONTROL_TYPE && flags & LENGTHS) {
		frame[14] = 1;
		put16(frame + 20, said - CONTROL_HEAD);
	}
	if (!locate(frame, len, &l))
		return;
	if (flags & LENGTHS)
		put16(frame + l.ip + (l.version == 4 ? 2 : 4), l.version == 4 ? said - l.ip : said - l.ip - 40);
	if (flags & RELATIVE && l.proto == 6 && l.l4 + 20 <= len)
		number(frame, len, &l);
	if (flags & SUMS)
		mend_sums(frame, len, &l);
}
