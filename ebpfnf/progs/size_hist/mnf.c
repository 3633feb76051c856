/* Counts each frame in the class of its length, without the checksum that the network card takes off. */

MNF(struct pkt *pkt)
{
	sizes_record(get_pkt_len(pkt));
	return NEXT;
}
