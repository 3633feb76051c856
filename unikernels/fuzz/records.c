/* Inputs as records, and mutations that keep them so. */
#include <stdlib.h>

#include "fuzz.h"

enum { MOST = 1 << 16 };

size_t LLVMFuzzerMutate(u8 *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t most, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const u8 *a, size_t size_a, const u8 *b, size_t size_b, u8 *out, size_t most, unsigned int seed);

u32 records_read(const u8 *input, size_t size, struct record records[RECORDS])
{
	u32 n = 0;

	for (size_t at = 0; n < RECORDS && size - at >= RECORD_HEAD; n++) {
		const u8 *head = input + at;
		size_t len = head[2] | (size_t)head[3] << 8, left = size - at - RECORD_HEAD;

		len = len < left ? len : left;
		records[n] = (struct record){.kind = head[0] % KINDS, .flags = head[1], .len = (u32)len, .data = head + RECORD_HEAD};
		at += RECORD_HEAD + len;
	}
	return n;
}

/* Their bytes, as many of them as there is room for. */
static size_t records_write(const struct record *records, u32 n, u8 *to, size_t room)
{
	static u8 copy[MOST];	/* their data may lie in `to` */
	size_t size = 0;

	if (room > MOST)
		room = MOST;
	for (u32 i = 0; i < n && room - size >= RECORD_HEAD + records[i].len; i++) {
		u8 head[RECORD_HEAD] = {records[i].kind, records[i].flags, (u8)records[i].len, (u8)(records[i].len >> 8)};

		memcpy(copy + size, head, sizeof head);
		if (records[i].len)
			memcpy(copy + size + RECORD_HEAD, records[i].data, records[i].len);
		size += RECORD_HEAD + records[i].len;
	}
	memcpy(to, copy, size);
	return size;
}

/* Another one at a place; of what was there, all moves on. */
static u32 insert(struct record *records, u32 n, u32 at, struct record record)
{
	if (n == RECORDS)
		return n;
	memmove(records + at + 1, records + at, (n - at) * sizeof *records);
	records[at] = record;
	return n + 1;
}

/* The bytes of one otherwise: from its begin, or behind its headers. */
static void change(struct record *record, u8 *bytes, u32 most, u32 choice)
{
	static const u32 starts[] = {0, 14, 34, 54};
	u32 from = record->kind == FRAME ? starts[choice % ARRAY_SIZE(starts)] : 0;

	from = from < record->len ? from : 0;
	memcpy(bytes, record->data, record->len);
	record->len = from + (u32)LLVMFuzzerMutate(bytes + from, record->len - from, most - from);
	record->data = bytes;
}

/* A piece again and again: many limits are far from what is usual. */
static void stretch(struct record *record, u8 *bytes, u32 chance)
{
	u32 from = chance % record->len, piece = 1 + (chance >> 11) % least(record->len - from, 64), left = record->len - from;
	u32 more = chance >> 31 ? (chance >> 20) % (ROOM - record->len) : ROOM - record->len;

	memcpy(bytes, record->data, from);
	for (u32 i = 0; i < more; i++)
		bytes[from + i] = record->data[from + i % piece];
	memcpy(bytes + from + more, record->data + from, left);
	record->data = bytes;
	record->len += more;
}

static bool is_digit(u8 c)
{
	return c >= '0' && c <= '9';
}

/* A decimal number, a short one as likely as a long one, becomes another: one about which limits are, or any small one. */
static void renumber(struct record *record, u8 *bytes, u32 chance)
{
	static const char *const limits[] = {"0", "1", "127", "128", "129", "255", "256", "65535", "65536", "4294967295", "18446744073709551615"};
	char small[4] = {(char)('1' + (chance >> 20) % 9), (char)('0' + (chance >> 24) % 10), (char)('0' + (chance >> 28) % 10)};
	const char *other = chance >> 16 & 1 ? small : limits[(chance >> 17) % ARRAY_SIZE(limits)];
	u32 from = chance % record->len, behind, n = (u32)strlen(other), numbers = 0;

	for (u32 i = 0; i < record->len; i++)
		if (is_digit(record->data[i]) && (!i || !is_digit(record->data[i - 1])) && !((u32)random() % ++numbers))
			from = i;
	for (behind = from; behind < record->len && is_digit(record->data[behind]); behind++)
		;
	memcpy(bytes, record->data, from);
	memcpy(bytes + from, other, n);
	memcpy(bytes + from + n, record->data + behind, record->len - behind);
	record->data = bytes;
	record->len += n - (behind - from);
}

/* A TCP segment of headers only, with some of the bytes behind them as options. */
static void end_with_options(struct record *record, u8 *bytes, u32 chance)
{
	u32 options = chance % 11 * 4;

	if (record->kind != FRAME || record->len < 54 + options)
		return;
	memcpy(bytes, record->data, 54 + options);
	bytes[46] = (u8)((20 + options) << 2);
	record->data = bytes;
	record->len = 54 + options;
}

/* A TCP segment in two, each with its headers. */
static u32 cut(struct record *records, u32 n, u32 at, u8 *bytes, u32 chance)
{
	struct record second = records[at];
	u32 head = 54, first;

	if (second.kind != FRAME || second.len < head + 2)
		return n;
	first = 1 + chance % (second.len - head - 1);
	memcpy(bytes, second.data, head);
	memcpy(bytes + head, second.data + head + first, second.len - head - first);
	second.data = bytes;
	second.len -= first;
	records[at].len = head + first;
	return insert(records, n, at + 1, second);
}

size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t most, unsigned int seed)
{
	static u8 bytes[MOST];
	struct record records[RECORDS], kept;
	u32 n = records_read(data, size, records), at, other, what;

	srandom(seed);
	what = (u32)random() % 20;
	if (!n || !what)
		return LLVMFuzzerMutate(data, size, most);
	at = (u32)random() % n, other = (u32)random() % n;
	switch (what) {
	case 1:
		memmove(records + at, records + at + 1, (--n - at) * sizeof *records);
		break;
	case 2:
	case 3:
		n = insert(records, n, other, records[at]);
		break;
	case 4:
		kept = records[at], records[at] = records[other], records[other] = kept;
		break;
	case 5:
	case 6:
		records[at].flags ^= (u8)(1 << random() % 8);
		break;
	case 7:
		n = insert(records, n, other, (struct record){.kind = CLOCK, .flags = (u8)random(), .data = bytes});
		break;
	case 8:
	case 9:
		n = cut(records, n, at, bytes, (u32)random());
		break;
	case 10:
		if (records[at].len && records[at].len < ROOM)
			stretch(&records[at], bytes, (u32)random() << 1);
		break;
	case 11:
	case 12:
		if (records[at].len && records[at].len < ROOM)
			renumber(&records[at], bytes, (u32)random() << 1);
		break;
	case 13:
		end_with_options(&records[at], bytes, (u32)random());
		break;
	default:
		if (records[at].kind == CLOCK)
			records[at].flags = (u8)random();
		else
			change(&records[at], bytes, least(2048, (u32)most), (u32)random());
	}
	return records_write(records, n, data, most);
}

size_t LLVMFuzzerCustomCrossOver(const u8 *a, size_t size_a, const u8 *b, size_t size_b, u8 *out, size_t most, unsigned int seed)
{
	struct record first[RECORDS], second[RECORDS];
	u32 n = records_read(a, size_a, first), m = records_read(b, size_b, second), from;

	srandom(seed);
	n = (u32)random() % (n + 1);
	from = (u32)random() % (m + 1);
	for (; from < m && n < RECORDS; from++)
		first[n++] = second[from];
	return records_write(first, n, out, most);
}
