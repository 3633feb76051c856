MNF(struct pkt *pkt)
{
	struct ip_addr src = get_ip_src(pkt);
	struct seen_value *known = seen_lookup(&src), first = { .packets = 1, .since = pkt->now };

	if (!known || (s64)(pkt->now - known->since) > (s64)SECOND) {
		seen_update(&src, &first);
		return NEXT;
	}
	known->packets += 1;
	return known->packets > cfg.most ? DROP(too_many) : NEXT;
}
