/* The sender's number stands in the first eight bytes. */
enum { LOCAL(MARKS) = 8, LOCAL(NEWER) = 16 };

MNF(struct pkt *pkt)
{
	payload_write(pkt, LOCAL(MARKS) + cfg.slot, cfg.mark + LOCAL(NEWER));
	return NEXT;
}
