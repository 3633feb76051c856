MNF(struct pkt *pkt)
{
	struct ip_addr dst = get_ip_dst(pkt);

	return dst.b[15] & 1 ? TO(odd) : NEXT;
}
