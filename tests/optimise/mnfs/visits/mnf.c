MNF(struct pkt *pkt)
{
	struct ip_addr src = get_ip_src(pkt);
	struct seen_value *known = seen_lookup(&src), first = { .packets = 1, .since = pkt->now };

	if (!known || pkt->now - known->since > SECOND) {
		seen_update(&src, &first);
		return NEXT;
	}
	known->packets += 1;
	return known->packets > cfg.most ? DROP(too_many) : NEXT;
}
