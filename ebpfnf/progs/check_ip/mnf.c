/* Addresses that never cross a router. An address is 16 bytes; of IPv4 the last four count. */

/* IPv4: 0/8 and 127/8. IPv6: ::/64, which holds ::, ::1 and every way to dress an IPv4 address as an IPv6 one. */
static inline int LOCAL(nowhere)(const struct ip_addr *ip, u8 version)
{
	return version == 4 ? ip->b[12] == 0 || ip->b[12] == 127 : ip->q[0] == 0;
}

/* IPv4: 224/4 and all above it, broadcast too. IPv6: ff00::/8. */
static inline int LOCAL(many)(const struct ip_addr *ip, u8 version)
{
	return version == 4 ? ip->b[12] >= 224 : ip->b[0] == 0xff;
}

MNF(struct pkt *pkt)
{
	const struct ip_addr *src = &pkt->flow.saddr;
	const struct ip_addr *dst = &pkt->flow.daddr;
	u8 version = pkt->m.ip_version;

	if (!version)
		return NEXT;
	if (!ip_checksum_ok(pkt))
		return DROP(bad_checksum);
	if (LOCAL(nowhere)(src, version) || LOCAL(many)(src, version))
		return DROP(martian_source);
	if (LOCAL(nowhere)(dst, version))
		return DROP(martian_destination);
	if (ip_equal(src, dst))
		return DROP(land);
	return NEXT;
}
