/* Two entries for a connection: what its packets are sent to, and what its replies come from. Both change the far end to `addr:port`. */

static inline int LOCAL(alive)(const struct sessions_value *session, u64 now)
{
	/* signed: a packet that was in a VM, or that another CPU's overtakes, is older than what the table holds */
	return session && (s64)(now - session->last_seen) < (s64)cfg.idle;
}

static inline u32 LOCAL(restore)(struct pkt *pkt)
{
	struct sessions_value *session = sessions_lookup(&pkt->flow);

	if (!session)
		return TO(no_session);

	session->last_seen = pkt->now;
	set_ip_src(pkt, &session->addr);
	set_l4_sport(pkt, session->port);
	return NEXT;
}

static inline u32 LOCAL(begin)(struct pkt *pkt)
{
	struct flow reply = flow_reverse(&pkt->flow);
	struct sessions_value service = { .last_seen = pkt->now, .addr = pkt->flow.daddr, .port = pkt->flow.dport };
	struct sessions_value backend = { .last_seen = pkt->now, .addr = pkt->m.backend_ip, .port = pkt->m.backend_port };
	struct sessions_value *other;

	if (ip_is_zero(&backend.addr))
		return DROP(no_family);

	reply.saddr = backend.addr;
	reply.sport = backend.port;
	other = sessions_lookup(&reply);
	if (LOCAL(alive)(other, pkt->now) && !(ip_equal(&other->addr, &service.addr) && other->port == service.port))
		return DROP(reply_taken);

	if (sessions_touch(&reply, &service) || sessions_touch(&pkt->flow, &backend))
		return DROP(sessions_full);
	set_ip_dst(pkt, &backend.addr);
	set_l4_dport(pkt, backend.port);
	return NEXT;
}

MNF(struct pkt *pkt)
{
	struct sessions_value *session;

	if (pkt->m.dir == REVERSE)
		return LOCAL(restore)(pkt);

	session = sessions_lookup(&pkt->flow);
	if (!LOCAL(alive)(session, pkt->now))
		return pkt->m.backend ? LOCAL(begin)(pkt) : NEXT;

	session->last_seen = pkt->now;
	set_ip_dst(pkt, &session->addr);
	set_l4_dport(pkt, session->port);
	return NEXT;
}
