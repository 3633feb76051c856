/* A segment that begins like HTTP marks its connection; the segments behind it are recognised by the mark. */

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
	u64 head;
	struct flow client;
	u8 seen = 1;

	pkt->m.http = HTTP_NONE;
	if (!(pkt->m.have & HAVE_TCP) || (!to_server && pkt->flow.sport != cfg.port))
		return NEXT;

	client = to_server ? pkt->flow : flow_reverse(&pkt->flow);
	head = payload_head(pkt);
	pkt->m.http = LOCAL(kind)(head >> 32, head);
	if (pkt->m.http != HTTP_NONE)
		flows_touch(&client, &seen);
	else if (flows_lookup(&client))
		pkt->m.http = to_server ? HTTP_REQUEST : HTTP_RESPONSE;
	return NEXT;
}
