/* One hop less to live. Behind `route` none arrives with less than two. */

MNF(struct pkt *pkt)
{
	u8 ttl = get_ip_ttl(pkt);

	if (ttl <= 1 && pkt->m.have & HAVE_IP)
		return DROP(ttl_expired);

	set_ip_ttl(pkt, ttl - 1);
	return NEXT;
}
