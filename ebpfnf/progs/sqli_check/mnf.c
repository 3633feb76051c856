/* The payload goes through the machine of `grammar` (docs/reference/body.md, automaton), which decodes escapes. */

MNF(struct pkt *pkt)
{
	struct text_cursor at;
	u32 rank;

	if (pkt->m.http != HTTP_REQUEST || !text_begin(&at))
		return NEXT;

	settle(pkt);
	text_payload(pkt, &at);

	rank = text_rank(&at);
	if (rank == 2)
		return DROP(sql_injection);
	if (rank == 1 && cfg.on_unsure == ON_UNSURE_DROP)
		return DROP(suspicious);
	return rank == 1 ? TO(unsure) : NEXT;
}
