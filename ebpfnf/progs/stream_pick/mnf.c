/*
 * As long as each segment with data begins with GET or HEAD, ends with the end of a head and follows the last one, a look at each segment
 * misses nothing. The first one that doesn't leads the connection to the reader of streams for good, which so begins where a request begins.
 */

enum { LOCAL(LIMIT) = 1024 };	/* bytes, as sqli_check looks at */

static inline u32 LOCAL(word)(const struct pkt *pkt, u32 at)
{
	u32 word = 0;

	for (u32 i = 0; i < 4; i++)
		word = word << 8 | (u8)payload_byte(pkt, at + i);
	return word;
}

static inline int LOCAL(whole)(const struct pkt *pkt)
{
	u32 head, len = pkt->m.pl_len;

	if (pkt->m.http != HTTP_REQUEST || pkt->m.doubt || len < 8 || len > LOCAL(LIMIT))
		return 0;
	head = LOCAL(word)(pkt, 0);
	return (head == 'GET ' || head == 'HEAD') && LOCAL(word)(pkt, len - 4) == '\r\n\r\n';
}

static inline int LOCAL(accepts)(const struct pkt *pkt)
{
	return (get_tcp_flags(pkt) & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
}

static inline u32 LOCAL(judge)(struct pkt *pkt, struct flows_value *known)
{
	u32 seq = get_tcp_seq(pkt), following = seq + pkt->m.pl_len;
	int repeated = known->last != known->following && seq == known->last && following == known->following;
	int first;

	if (known->streamed && !repeated)
		return TO(stream);
	if (!repeated && seq != known->following)
		return DROP(out_of_order);
	if (!(get_tcp_flags(pkt) & (TCP_SYN | TCP_URG)) && LOCAL(whole)(pkt)) {
		known->last = seq;
		known->following = following;
		return NEXT;
	}
	if (repeated)
		return DROP(out_of_order);
	first = payload_byte(pkt, 0);
	if (first < 'A' || first > 'Z')
		return DROP(no_request);
	known->streamed = 1;
	return TO(stream);
}

static inline u32 LOCAL(from_server)(struct pkt *pkt)
{
	struct flow client = flow_reverse(&pkt->flow);
	struct flows_value *known = flows_lookup(&client);
	u32 ack = get_tcp_ack(pkt);
	u8 streamed = known ? known->streamed : 0;

	/* The server's word alone begins a connection anew: a client could say it in the middle of one. */
	if (LOCAL(accepts)(pkt) && !(known && known->start == ack))
		flows_touch(&client, &(struct flows_value){ .start = ack, .last = ack, .following = ack, .streamed = streamed });
	return streamed ? TO(stream) : NEXT;
}

MNF(struct pkt *pkt)
{
	struct flows_value *known;

	if (!(pkt->m.have & HAVE_TCP))
		return NEXT;
	if (pkt->flow.sport == cfg.port && pkt->flow.dport != cfg.port)
		return LOCAL(from_server)(pkt);
	if (pkt->flow.dport != cfg.port)
		return NEXT;

	known = flows_lookup(&pkt->flow);
	if (!pkt->m.pl_len)
		return known && known->streamed ? TO(stream) : NEXT;
	if (known)
		return LOCAL(judge)(pkt, known);
	flows_touch(&pkt->flow, &(struct flows_value){ .streamed = 1 });	/* it is older than this chain */
	return TO(stream);
}
