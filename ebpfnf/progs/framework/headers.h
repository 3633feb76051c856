/* Header fields: get_<field> reads, 0 where the field is not there; set_<field> writes and notes what that does to checksums. */
#ifndef EBPFNF_HEADERS_H
#define EBPFNF_HEADERS_H

inline_always u8 byte_at(const struct pkt *pkt, u64 offset)
{
	u8 *byte = bytes_at(pkt, offset, 1);

	return byte ? *byte : 0;
}

inline_always u16 half_at(const struct pkt *pkt, u64 offset)
{
	be16 *half = bytes_at(pkt, offset, 2);

	return half ? bpf_ntohs(*half) : 0;
}

/* RFC 1624, equation 3: the sum grows by the complement of the old word and the new word, of 16 bits or of 32. It has room for the
   carries of all that a packet's bodies can write; they are folded once, at the exit. */
inline_always void csum_replace(u64 *sum, u32 old, u32 new)
{
	*sum += (u64)(u32)~old + new;
}

/* Of a sum below 1 << 48. */
inline_always u16 csum_fold(u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* ---- Ethernet and VLAN */

inline_always struct mac_addr mac_at(const struct pkt *pkt, u64 offset)
{
	struct mac_addr mac = {};
	struct mac_addr *at = bytes_at(pkt, offset, sizeof(*at));

	if (at)
		mac = *at;
	return mac;
}

inline_always void set_mac_at(struct pkt *pkt, u64 offset, const struct mac_addr *mac)
{
	struct mac_addr *at = bytes_at(pkt, offset, sizeof(*at));

	if (at)
		*at = *mac;
}

#define get_eth_dst(pkt) mac_at(pkt, 0)
#define get_eth_src(pkt) mac_at(pkt, 6)
#define set_eth_dst(pkt, mac) set_mac_at(pkt, 0, mac)
#define set_eth_src(pkt, mac) set_mac_at(pkt, 6, mac)
#define get_eth_type(pkt) ((pkt)->m.eth_type)
#define get_vlan_id(pkt) ((pkt)->m.vlan_id)
#define get_pkt_len(pkt) ((pkt)->m.len)

/* ---- IP */

#define get_ip_version(pkt) ((pkt)->m.ip_version)
#define get_ip_src(pkt) ((pkt)->flow.saddr)
#define get_ip_dst(pkt) ((pkt)->flow.daddr)
#define get_ip_proto(pkt) ((pkt)->flow.proto)
#define get_ip_frag(pkt) ((pkt)->m.frag)

inline_always u8 get_ip_ttl(const struct pkt *pkt)
{
	if (!(pkt->m.have & HAVE_IP))
		return 0;
	return byte_at(pkt, pkt->m.l3 + (pkt->m.ip_version == 4 ? 8 : 7));
}

inline_always u16 get_ip_len(const struct pkt *pkt)
{
	if (!(pkt->m.have & HAVE_IP))
		return 0;
	return pkt->m.ip_version == 4 ? half_at(pkt, pkt->m.l3 + 2) : half_at(pkt, pkt->m.l3 + 4) + 40;
}

inline_always u16 get_ip_csum(const struct pkt *pkt)
{
	return pkt->m.ip_version == 4 ? half_at(pkt, pkt->m.l3 + 10) : 0;
}

/* Adds up the header as it came: what setters changed since is taken off again, as they left the checksum alone. */
inline_always u32 ip_checksum_ok(const struct pkt *pkt)
{
	u16 *fixed = bytes_at(pkt, pkt->m.l3, 20);
	u32 sum = (u16)~csum_fold(pkt->csum_l3);
	u64 size;

	if (pkt->m.ip_version != 4 || !fixed)
		return 1;
	for (u32 i = 0; i < 10; i++)
		sum += fixed[i];
	size = (*(u8 *)fixed & 15) * 4;
	for (u64 at = 20; at < 60; at += 4) {
		u16 *option = bytes_at(pkt, pkt->m.l3 + at, 4);

		if (at >= size || !option)
			break;
		sum += option[0];
		sum += option[1];
	}
	return csum_fold(sum) == 0xffff;
}

inline_always u8 get_ip_dscp(const struct pkt *pkt)
{
	if (!(pkt->m.have & HAVE_IP))
		return 0;
	return pkt->m.ip_version == 4 ? byte_at(pkt, pkt->m.l3 + 1) >> 2 : half_at(pkt, pkt->m.l3) >> 6 & 63;
}

inline_always void set_ip_ttl(struct pkt *pkt, u8 ttl)
{
	u64 offset = pkt->m.l3 + (pkt->m.ip_version == 4 ? 8 : 7);
	u16 *word;
	u8 *byte;

	if (!(pkt->m.have & HAVE_IP))
		return;
	if (pkt->m.ip_version == 4) {
		u16 old;

		word = bytes_at(pkt, offset, 2);
		if (!word)
			return;
		old = *word;
		*(u8 *)word = ttl;
		csum_replace(&pkt->csum_l3, old, *word);
		return;
	}
	byte = bytes_at(pkt, offset, 1);
	if (byte)
		*byte = ttl;
}

inline_always void set_ip_dscp(struct pkt *pkt, u8 dscp)
{
	be16 *word = bytes_at(pkt, pkt->m.l3, 2);
	u16 old, new;

	if (!(pkt->m.have & HAVE_IP) || !word)
		return;
	old = bpf_ntohs(*word);
	if (pkt->m.ip_version == 4)
		new = (old & 0xff03) | (dscp & 63) << 2;
	else
		new = (old & 0xf03f) | (dscp & 63) << 6;
	*word = bpf_htons(new);
	if (pkt->m.ip_version == 4)
		csum_replace(&pkt->csum_l3, bpf_htons(old), bpf_htons(new));
}

/* An address of the other family is not written. */
inline_always void set_ip_at(struct pkt *pkt, u64 v4, u64 v6, struct ip_addr *seen, const struct ip_addr *addr)
{
	be32 *at;

	if (pkt->m.ip_version == 4) {
		struct ip_addr new = *addr;
		u64 change = (u64)(u32)~seen->w[3] + new.w[3];

		at = bytes_at(pkt, pkt->m.l3 + v4, 4);
		if (!at || !ip_is_v4(&new))
			return;
		pkt->csum_l3 += change;
		pkt->csum_l4 += change;
		*at = new.w[3];
		seen->q[1] = new.q[1];
	} else if (pkt->m.ip_version == 6) {
		at = bytes_at(pkt, pkt->m.l3 + v6, 16);
		if (!at || ip_is_v4(addr))
			return;
		for (u32 i = 0; i < 4; i++) {
			csum_replace(&pkt->csum_l4, seen->w[i], addr->w[i]);
			at[i] = addr->w[i];
		}
		*seen = *addr;
	}
}

#define set_ip_src(pkt, addr) set_ip_at(pkt, 12, 8, &(pkt)->flow.saddr, addr)
#define set_ip_dst(pkt, addr) set_ip_at(pkt, 16, 24, &(pkt)->flow.daddr, addr)

/* ---- L4 */

#define get_l4_sport(pkt) ((pkt)->flow.sport)
#define get_l4_dport(pkt) ((pkt)->flow.dport)
#define get_tcp_flags(pkt) ((pkt)->m.tcp_flags)

inline_always u32 tcp_word_at(const struct pkt *pkt, u64 offset)
{
	be32 *word = bytes_at(pkt, pkt->m.l4 + offset, 4);

	return (pkt->m.have & HAVE_TCP) && word ? bpf_ntohl(*word) : 0;
}

#define get_tcp_seq(pkt) tcp_word_at(pkt, 4)
#define get_tcp_ack(pkt) tcp_word_at(pkt, 8)
#define get_tcp_window(pkt) ((u16)tcp_word_at(pkt, 12))

inline_always void set_port_at(struct pkt *pkt, u64 offset, be16 *seen, be16 port)
{
	be16 *at = pkt->m.have & HAVE_L4 ? bytes_at(pkt, pkt->m.l4 + offset, 2) : 0;

	if (!at)
		return;
	csum_replace(&pkt->csum_l4, *seen, port);
	*at = port;
	*seen = port;
}

#define set_l4_sport(pkt, port) set_port_at(pkt, 0, &(pkt)->flow.sport, port)
#define set_l4_dport(pkt, port) set_port_at(pkt, 2, &(pkt)->flow.dport, port)

/* ---- payload */

/* Byte i of the payload, -1 behind its end. */
inline_always int payload_byte(const struct pkt *pkt, u32 i)
{
	u64 offset = (u64)pkt->m.pl + i;
	u8 *byte;

	if (i >= pkt->m.pl_len)
		return -1;
	byte = bytes_at(pkt, offset, 1);
	return byte ? *byte : -1;
}

/* The payload's first eight bytes, the first as the highest; noughts stand for what is behind its end. */
inline_always u64 payload_head(const struct pkt *pkt)
{
	u64 head = 0;

	if (__builtin_expect(pkt->m.pl_len >= 8, 1)) {
		u64 *bytes = bytes_at(pkt, pkt->m.pl, 8);

		return __builtin_expect(bytes != 0, 1) ? __builtin_bswap64(*bytes) : 0;
	}
	for (u32 i = 0; i < 8; i++) {
		int byte = payload_byte(pkt, i);

		head = head << 8 | (byte < 0 ? 0 : byte);
	}
	return head;
}

inline_always void payload_write(struct pkt *pkt, u32 i, u8 value)
{
	u64 offset = (u64)pkt->m.pl + i;
	u16 old, new;
	u8 *byte;

	if (i >= pkt->m.pl_len)
		return;
	byte = bytes_at(pkt, offset, 1);
	if (!byte)
		return;
	old = *byte;
	new = value;
	/* The checksum counts 16-bit words from the L4 header on: an even byte is the high one. */
	if (!((offset - pkt->m.l4) & 1)) {
		old <<= 8;
		new <<= 8;
	}
	csum_replace(&pkt->csum_l4, bpf_htons(old), bpf_htons(new));
	pkt->csum_l4 = (pkt->csum_l4 & 0xffffffff) + (pkt->csum_l4 >> 32);	/* of this there may be much */
	*byte = value;
}

/* ---- exit: checksums once */

inline_always u16 csum_apply(u16 check, u64 delta)
{
	return ~csum_fold((u16)~check + delta);
}

inline_always void check_at(struct pkt *pkt, u64 offset, u64 delta)
{
	u16 *check = bytes_at(pkt, offset, 2);

	if (check)
		*check = csum_apply(*check, delta);
}

inline_always void checksums_complete(struct pkt *pkt)
{
	if (pkt->csum_l3)
		check_at(pkt, pkt->m.l3 + 10, pkt->csum_l3);
	if (!pkt->csum_l4)
		return;
	if (pkt->m.have & HAVE_TCP) {
		check_at(pkt, pkt->m.l4 + 16, pkt->csum_l4);
	} else if (pkt->m.have & HAVE_UDP) {
		u16 *check = bytes_at(pkt, pkt->m.l4 + 6, 2);

		if (check && *check) {	/* 0: the sender made none (RFC 768) */
			u16 sum = csum_apply(*check, pkt->csum_l4);

			*check = sum ? sum : 0xffff;
		}
	} else if ((pkt->m.have & HAVE_ICMP) && pkt->m.ip_version == 6) {
		check_at(pkt, pkt->m.l4 + 2, pkt->csum_l4);
	}
}

#endif
