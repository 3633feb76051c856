/* The sender's number stands in the first eight bytes. */
enum { LOCAL(MARKS) = 8 };

MNF(struct pkt *pkt)
{
	payload_write(pkt, LOCAL(MARKS) + cfg.slot, cfg.mark);
	return NEXT;
}
