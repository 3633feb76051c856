/* First matching rule over the Ethernet header decides. */

MNF(struct pkt *pkt)
{
	struct rules_value *rule = rules_match(pkt);
	u32 action = rule ? rule->action : cfg.default_;

	return action == ACTION_ALLOW ? NEXT : DROP(l2_deny);
}
