/* Chooses; dnat_rewrite, which knows the connections, decides whether the choice holds. */

MNF(struct pkt *pkt)
{
	struct backends_value *backend;

	if (pkt->flow.dport != cfg.port || !vips_lookup(&pkt->flow.daddr))
		return TO(not_ours);

	backend = backends_pick(pkt->m.hash);
	if (!backend)
		return DROP(no_backend);

	pkt->m.backend = backend->index;
	pkt->m.backend_ip = pkt->m.ip_version == 4 ? backend->v4 : backend->v6;
	pkt->m.backend_port = backend->port;
	return NEXT;
}
