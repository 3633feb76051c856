/*
 * Bytes are handed on in order and once. What comes early is passed on at once and remembered: the server can't use it before the hole is
 * filled, and what fills the hole is refused when the whole is bad. At each place the first bytes that came are the only ones that pass, so
 * that the server never sees others than those that were read here.
 */
#include "connection.h"
#include "manifest.h"

static u32 memory_of[32], memory_at[32];	/* of each mNF, in a connection's */

READY()
{
	u32 total = 0;

	if (!cfg.connections)
		return "tcp_reasm.connections must not be 0";
	for (u32 i = 0; i < n_mnfs && i < ARRAY_SIZE(memory_at); i++) {
		memory_at[i] = total;
		memory_of[i] = mnfs[i]->stream ? (mnfs[i]->stream->size + 7) & ~7u : 0;
		total += memory_of[i];
	}
	connections_begin((u32)cfg.connections, total);
	return 0;
}

/* Tells all who listen; the first that refuses decides. */
static int tell(void *to, enum part part, const u8 *bytes, u32 len)
{
	struct connection *c = to;

	if (part == REQUEST)
		COUNT(requests, 1);
	if (part == HEAD_END)
		COUNT(bodies_unread, len);
	for (u32 i = 0; i < n_mnfs && i < ARRAY_SIZE(memory_at); i++) {
		int verdict = mnfs[i]->stream ? mnfs[i]->stream->part(c->memory + memory_at[i], part, bytes, len) : NEXT;

		if (verdict != NEXT)
			return DROPPED_BY(i, verdict);
	}
	return NEXT;
}

static void read_ends(const struct frame *frame, const struct headers *h, const struct transport *t, bool to_server, struct ends *ends)
{
	u32 size = h->version == 4 ? 4 : 16, from = h->ip + (h->version == 4 ? 12 : 8);
	u8 *source = to_server ? ends->client : ends->server, *target = to_server ? ends->server : ends->client;

	memset(ends, 0, sizeof *ends);
	memcpy(source, frame->data + from, size);
	memcpy(target, frame->data + from + size, size);
	ends->cport = to_server ? t->sport : t->dport;
	ends->sport = to_server ? t->dport : t->sport;
}

static bool checksum_right(const struct frame *frame, const struct headers *h)
{
	u32 addresses = h->version == 4 ? 8 : 32, from = h->ip + (h->version == 4 ? 12 : 8), len = h->end - h->l4, sum = TCP + len;

	for (u32 i = 0; i < addresses; i += 2)
		sum += get16(frame->data + from + i);
	for (u32 i = 0; i < len; i += 2)
		sum += i + 1 < len ? get16(frame->data + h->l4 + i) : (u32)frame->data[h->l4 + i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* The shift of a SYN's window scale option; 0 without one. */
static u8 window_scale(const u8 *option, const u8 *end)
{
	while (option < end && *option) {
		if (*option == 1) {
			option++;
			continue;
		}
		if (end - option < 2 || option[1] < 2 || option[1] > end - option)
			return 0;
		if (option[0] == 3 && option[1] == 3)
			return option[2] > 14 ? 14 : option[2];
		option += option[1];
	}
	return 0;
}

/* The server offers more than is kept here: the client shall not send it. */
static void narrow_window(struct frame *frame, const struct headers *h, const struct transport *t, u32 shift)
{
	u8 *l4 = frame->data + h->l4;
	u16 most = (u16)(WINDOW >> shift);

	if (t->window <= most)
		return;
	put16(l4 + 14, most);
	put16(l4 + 16, checksum_mend(get16(l4 + 16), (u16)t->window, most));
}

static int from_server(struct frame *frame, const struct headers *h, const struct transport *t, struct connection *c)
{
	const u8 *l4 = frame->data + h->l4;

	if (!c)
		return NEXT;
	c->seen = now();
	if ((t->flags & (SYN | ACK)) == (SYN | ACK)) {
		if (t->ack != c->start)	/* the server began anew */
			connection_reset(c, t->ack);
		c->scale = window_scale(l4 + 20, frame->data + t->payload);
		c->scaled = true;
	}
	if (t->flags & ACK)
		connection_acked(c, t->ack);
	if (t->flags & RST)
		c->closed = true;
	if (http_says_switched(frame->data + t->payload, h->end - t->payload))
		http_switched(&c->http);
	if (c->scaled)
		narrow_window(frame, h, t, t->flags & SYN ? 0 : c->scale);
	return NEXT;
}

/* The connection that a client's packet belongs to, or the verdict over one without. */
static struct connection *connection_of(const struct ends *ends, const struct transport *t, bool data, int *verdict)
{
	struct connection *c = connection_find(ends);
	bool begins = (t->flags & (SYN | ACK)) == SYN;

	/* Who has read something believes the server alone: a false end and a false beginning would make it forget half a request. */
	if (c && begins && (!c->data || (c->closed && !c->heard)))
		connection_reset(c, t->seq + 1);
	if (c || (!begins && !data))
		return c;
	if (!begins && now() > cfg.adopt) {
		*verdict = DROP(unknown_connection);
		return 0;
	}
	c = connection_new(ends, cfg.idle);
	if (!c) {
		if (cfg.when_full == WHEN_FULL_DROP)
			*verdict = DROP(table_full);
		else
			COUNT(unread, 1);
		return 0;
	}
	connection_reset(c, t->seq + begins);
	if (begins) {
		COUNT(opened, 1);
	} else {
		COUNT(adopted, 1);
		c->adopted = true;
		if (cfg.adopted == ADOPTED_SEARCH)
			http_adopt(&c->http);
	}
	return c;
}

static int read_on(struct connection *c)
{
	const u8 *bytes;
	int verdict = NEXT;
	u32 n;

	while (verdict == NEXT && (n = connection_read(c, &bytes)))
		verdict = http_read(&c->http, bytes, n, tell, c);
	if (verdict == HTTP_NOT && cfg.not_http == NOT_HTTP_PASS) {
		http_adopt(&c->http);
		while (connection_read(c, &bytes))
			;
		return NEXT;
	}
	if (verdict == HTTP_NOT)
		verdict = DROP(not_http);
	else if (verdict == HTTP_AMBIGUOUS)
		verdict = DROP(ambiguous);
	c->blocked = verdict != NEXT;
	return verdict;
}

static int from_client(struct frame *frame, const struct headers *h, const struct transport *t, const struct ends *ends)
{
	u32 len = h->end - t->payload, seq = t->seq + ((t->flags & SYN) != 0);
	int verdict = NEXT;
	struct connection *c;

	if (len && !checksum_right(frame, h))
		return DROP(bad_checksum);
	if (len && (t->flags & (SYN | URG)) == (SYN | URG))
		return DROP(urgent);	/* nothing begins anew by what the server does not get */
	c = connection_of(ends, t, len, &verdict);
	if (!c)
		return verdict;
	c->seen = now();
	if (t->flags & (FIN | RST))
		c->closed = true;
	if (!len)
		return NEXT;
	if (t->flags & URG)
		return DROP(urgent);
	if (c->blocked)
		return DROP(blocked);
	switch (connection_take(c, seq, frame->data + t->payload, len)) {
	case OUTSIDE:
		return DROP(outside);
	case CONTRADICTION:
		return DROP(contradiction);
	case TAKEN:
		break;
	}
	c->data = true;
	return read_on(c);
}

MNF(struct frame *frame)
{
	struct headers h;
	struct transport t;
	struct ends ends;

	if (!headers_read(frame, &h) || h.proto != TCP)
		return NEXT;
	if (h.fragment)
		return DROP(fragment);
	if (!transport_read(frame, &h, &t) || (t.dport != cfg.port && t.sport != cfg.port))
		return NEXT;
	read_ends(frame, &h, &t, t.dport == cfg.port, &ends);
	if (t.dport == cfg.port)
		return from_client(frame, &h, &t, &ends);
	return from_server(frame, &h, &t, connection_find(&ends));
}
