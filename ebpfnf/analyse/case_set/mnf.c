/* Every step of a case has a time of its own, by which it finds the metadata that it begins with. */

MNF(struct pkt *pkt)
{
	struct steps_key key = { .now = pkt->now };
	struct steps_value *step = steps_lookup(&key);

	if (!step)
		return NEXT;
	pkt->m.dir = step->dir;
	pkt->m.hash = step->hash;
	pkt->m.class = step->class;
	pkt->m.http = step->http;
	pkt->m.doubt = step->doubt;
	pkt->m.backend = step->backend;
	pkt->m.backend_port = step->backend_port;
	pkt->m.backend_ip = step->backend_ip;
	pkt->m.fwd_port = step->fwd_port;
	pkt->m.nh_dst = step->nh_dst;
	pkt->m.nh_src = step->nh_src;
	return NEXT;
}
