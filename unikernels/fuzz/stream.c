/*
 * What tcp_reasm promises: at each place of a connection only the bytes that came first pass, as long as the server may lack them. Where a
 * connection may have begun anew all is forgotten, and one whose server says what it can't is not looked at: what is found is a fault for certain.
 */
#include "fuzz.h"

enum { FLOWS = 8, PLACES = 1 << 16, NEAR = 1 << 20, SYN = 2, ACK = 16 };

struct place {
	u32 seq, generation;
	u8 byte;
};

static struct flow {
	u8 ends[12];	/* addresses of IPv4, ports */
	u32 run;
	bool begun, heard, dull;
	u32 top, acked;	/* the first that was not sent yet; by the server */
	struct place places[PLACES];
} flows[FLOWS];
static u32 run_number, generation;
static u64 connections;

void stream_begin(void)
{
	run_number++;
	generation++;
	connections = 0;
}

/* Null for one whose room is taken. */
static struct flow *flow_of(const u8 ends[12])
{
	struct flow *flow = &flows[(ends[3] + ends[8] + ends[9]) % FLOWS];

	if (flow->run != run_number) {
		flow->run = run_number;
		flow->begun = flow->heard = flow->dull = false;
		memcpy(flow->ends, ends, 12);
	}
	return memcmp(flow->ends, ends, 12) || flow->dull ? 0 : flow;
}

static void from_client(struct flow *flow, u32 seq, const u8 *bytes, u32 len)
{
	for (u32 i = 0; i < len; i++) {
		u32 at = seq + i;
		struct place *place = &flow->places[at % PLACES];

		if (flow->heard && at - flow->acked >= NEAR)
			continue;
		if (place->generation == generation && place->seq == at && place->byte != bytes[i])
			broken("other bytes than before pass at a place of a connection");
		*place = (struct place){.seq = at, .generation = generation, .byte = bytes[i]};
	}
	if (!flow->begun || (int32_t)(seq + len - flow->top) > 0)
		flow->top = seq + len;
	flow->begun = true;
}

static void from_server(struct flow *flow, u32 ack)
{
	flow->dull = !flow->begun || flow->top - ack >= PLACES;
	if (!flow->heard || (int32_t)(ack - flow->acked) > 0)
		flow->acked = ack;
	flow->heard = true;
}

void stream_sent(const u8 *frame, u32 len)
{
	u64 now_there = count("tcp_reasm", "opened") + count("tcp_reasm", "adopted") + count("tcp_reasm", "unread");
	const u8 *ip = frame + 14, *tcp = ip + 20;
	u32 head, total, sport, dport, seq;
	struct flow *flow;
	u8 ends[12];

	if (len < 54 || get16(frame + 12) != 0x0800 || ip[0] != 0x45 || ip[9] != 6)
		return;
	head = (tcp[12] >> 4) * 4u, total = get16(ip + 2), sport = get16(tcp), dport = get16(tcp + 2), seq = get32(tcp + 4);
	if (head < 20 || 20 + head > total || 14 + total > len)
		return;	/* nobody can read it */
	if (tcp[13] & SYN || now_there != connections)
		generation++;
	connections = now_there;
	memcpy(ends, ip + (dport == 80 ? 12 : 16), 4);
	memcpy(ends + 4, ip + (dport == 80 ? 16 : 12), 4);
	put16(ends + 8, dport == 80 ? sport : dport);
	put16(ends + 10, 80);
	flow = dport == 80 || sport == 80 ? flow_of(ends) : 0;
	if (!flow)
		return;
	if (dport != 80 && tcp[13] & ACK)
		from_server(flow, get32(tcp + 8));
	else if (dport == 80 && tcp[13] & SYN)
		flow->begun = true, flow->top = seq + 1;
	else if (dport == 80)
		from_client(flow, seq, tcp + head, total - 20 - head);
}
