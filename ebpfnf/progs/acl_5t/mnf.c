/* First matching rule over the five-tuple decides, and gives the packet its class. */

MNF(struct pkt *pkt)
{
	struct rules_value *rule = rules_match(pkt);

	if (!rule)
		return cfg.default_ == DEFAULT_ALLOW ? NEXT : DROP(acl_deny);
	if (rule->action == ACTION_DENY)
		return DROP(acl_deny);

	pkt->m.class = rule->class;
	return NEXT;
}
