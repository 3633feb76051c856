/* A segment that begins like HTTP marks its connection; the segments behind it are recognised by the mark. */

static inline u32 LOCAL(word)(const struct pkt *pkt, u32 at)
{
	u32 word = 0;

	for (u32 i = 0; i < 4; i++) {
		int byte = payload_byte(pkt, at + i);

		word = word << 8 | (byte < 0 ? 0 : byte);
	}
	return word;
}

/* What a payload that begins with these eight bytes is (RFC 9110: methods are case-sensitive). */
static inline u32 LOCAL(kind)(u32 head, u32 next)
{
	switch (head) {
	case 'GET ':
	case 'PUT ':
		return HTTP_REQUEST;
	case 'POST':
	case 'HEAD':
		return next >> 24 == ' ' ? HTTP_REQUEST : HTTP_NONE;
	case 'TRAC':
		return next >> 16 == ('E' << 8 | ' ') ? HTTP_REQUEST : HTTP_NONE;
	case 'PATC':
		return next >> 16 == ('H' << 8 | ' ') ? HTTP_REQUEST : HTTP_NONE;
	case 'DELE':
		return next >> 8 == 'TE ' ? HTTP_REQUEST : HTTP_NONE;
	case 'OPTI':
		return next == 'ONS ' ? HTTP_REQUEST : HTTP_NONE;
	case 'CONN':
		return next == 'ECT ' ? HTTP_REQUEST : HTTP_NONE;
	case 'HTTP':
		return next >> 8 == '/1.' ? HTTP_RESPONSE : HTTP_NONE;
	}
	return HTTP_NONE;
}

MNF(struct pkt *pkt)
{
	int to_server = pkt->flow.dport == cfg.port;
	struct flow client;
	u8 seen = 1;

	pkt->m.http = HTTP_NONE;
	if (!(pkt->m.have & HAVE_TCP) || (!to_server && pkt->flow.sport != cfg.port))
		return NEXT;

	client = to_server ? pkt->flow : flow_reverse(&pkt->flow);
	pkt->m.http = LOCAL(kind)(LOCAL(word)(pkt, 0), LOCAL(word)(pkt, 4));
	if (pkt->m.http != HTTP_NONE)
		flows_touch(&client, &seen);
	else if (flows_lookup(&client))
		pkt->m.http = to_server ? HTTP_REQUEST : HTTP_RESPONSE;
	return NEXT;
}
