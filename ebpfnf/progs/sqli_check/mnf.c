/* Every byte of a request's segment goes through the machine of `grammar` (docs/reference/body.md, automaton), which decodes escapes. */

enum { LOCAL(LIMIT) = 1024 };	/* bytes: more would cost the verifier too much where several chains share a program */

MNF(struct pkt *pkt)
{
	struct text_cursor at;
	u32 rank;

	if (pkt->m.http != HTTP_REQUEST || !text_begin(&at))
		return NEXT;

	settle(pkt);
	for (u32 i = 0; i < LOCAL(LIMIT); i++) {
		int byte = payload_byte(pkt, i);

		if (byte < 0)
			break;
		text_step(&at, byte);
	}
	/* What ends with the segment is whole, unless it was too long. */
	if (pkt->m.pl_len <= LOCAL(LIMIT))
		text_step(&at, '\n');

	rank = text_rank(&at);
	if (rank == 2)
		return DROP(sql_injection);
	if (rank == 1 && cfg.on_unsure == ON_UNSURE_DROP)
		return DROP(suspicious);
	return rank == 1 ? TO(unsure) : NEXT;
}
