/* What bodies and framework share: integers, addresses, flows, verdicts. */
#ifndef EBPFNF_FRAMEWORK_TYPES_H
#define EBPFNF_FRAMEWORK_TYPES_H

#include <linux/types.h>

typedef __be16 be16;
typedef __be32 be32;

/* nodebug: an instruction of the framework's stands in the line that called it, the author's where there is one; and to carry the variables of
   each call along takes the compiler a third of its time. */
#define inline_always static inline __attribute__((always_inline, nodebug))

/* A symbolic map id becomes a file descriptor, or the address of the map's first value, when the program is loaded. */
#define MAP_FD(id) ((void *)bpf_pseudo_fd(1, (id)))
#define MAP_VALUE(id) ((void *)bpf_pseudo_fd(2, (id)))
/* Calls an exported function, by its symbolic id (compile/link.py), with this argument until it returns 1, at most `turns` times.
   bpf_loop by its number, which not every bcc knows. */
#define FUNCTION(id) ((void *)bpf_pseudo_fd(4, (id)))
#define do_loop(turns, id, argument) ((long (*)(u32, void *, void *, u64))181)(turns, FUNCTION(id), argument, 0)

/* Nothing that the compiler knows about memory holds across this line. */
#define memory_barrier() asm volatile("" ::: "memory")
/* The compiler must take this variable's value as it stands, so that what was checked is what is used: before a check, and after one, or
   LLVM 19 makes the address first and checks then, which the verifier does not follow. */
#define as_checked(x) asm volatile("" : "+r"(x))

#define SECOND 1000000000ULL
/* Bytes that an automaton's machine takes in one turn, and its sieve. */
#define AUTOMATON_CHUNK 32
#define AUTOMATON_SIEVE 64

/* IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
struct ip_addr {
	union {
		be32 w[4];
		u64 q[2];
		u8 b[16];
	};
};

struct ip_prefix {
	u32 length;
	u8 b[16];
};

struct mac_addr {
	u8 b[6];
} __attribute__((aligned(2)));

struct flow {
	struct ip_addr saddr;
	struct ip_addr daddr;
	be16 sport;
	be16 dport;
	u8 proto;
	u8 zero[3];
};

enum {
	VERDICT_NEXT,
	VERDICT_PASS,
	VERDICT_TX,
	VERDICT_REDIRECT,
	VERDICT_DROP,
	VERDICT_TO,
};

/* A verdict is a kind and its argument: a reason, an outcome, a port. */
#define VERDICT(kind, argument) (VERDICT_##kind | (u32)(argument) << 8)
#define NEXT VERDICT(NEXT, 0)
#define PASS VERDICT(PASS, 0)
#define TX VERDICT(TX, 0)
#define REDIRECT(port) VERDICT(REDIRECT, port)

enum { FORWARD, REVERSE };
enum { HTTP_NONE, HTTP_REQUEST, HTTP_RESPONSE };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32 };

enum {
	HAVE_ETH = 1,
	HAVE_VLAN = 2,
	HAVE_IP = 4,
	HAVE_L4 = 8,		/* TCP or UDP, and not a fragment */
	HAVE_TCP = 16,
	HAVE_UDP = 32,
	HAVE_ICMP = 64,		/* ICMP or ICMPv6 */
	HAVE_ND = 128,		/* neighbour discovery or MLD */
	HAVE_FRAG = 256,
};

enum {
	IPPROTO_HOPOPTS = 0,
	IPPROTO_ICMP = 1,
	IPPROTO_TCP = 6,
	IPPROTO_UDP = 17,
	IPPROTO_ROUTING = 43,
	IPPROTO_FRAGMENT = 44,
	IPPROTO_ESP = 50,
	IPPROTO_AH = 51,
	IPPROTO_ICMPV6 = 58,
	IPPROTO_NONE = 59,
	IPPROTO_DSTOPTS = 60,
};

/* The same value, of which the compiler knows nothing: arithmetic on it is not turned into a branch. */
inline_always u64 opaque(u64 x)
{
	as_checked(x);
	return x;
}

inline_always int ip_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}

inline_always int ip_is_v4(const struct ip_addr *a)
{
	return a->q[0] == 0 && a->w[2] == bpf_htonl(0xffff);
}

inline_always int ip_is_zero(const struct ip_addr *a)
{
	return a->q[0] == 0 && a->q[1] == 0;
}

inline_always int mac_equal(const struct mac_addr *a, const struct mac_addr *b)
{
	const u16 *x = (const u16 *)a->b, *y = (const u16 *)b->b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

inline_always struct flow flow_reverse(const struct flow *f)
{
	struct flow reverse = {
		.saddr = f->daddr,
		.daddr = f->saddr,
		.sport = f->dport,
		.dport = f->sport,
		.proto = f->proto,
	};

	return reverse;
}

inline_always int flow_equal(const struct flow *a, const struct flow *b)
{
	const u64 *x = (const u64 *)a, *y = (const u64 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3] && x[4] == y[4];
}

/* Ports and protocol as they lie in memory. */
inline_always u64 flow_ends(const struct flow *f)
{
	u64 ends;

	__builtin_memcpy(&ends, &f->sport, sizeof(ends));
	return ends;
}

/* A polynomial over the words, and its halves folded; not keyed, so not for tables that an attacker fills. */
inline_always u32 flow_hash(const struct flow *f)
{
	const u64 factor = 0x9e3779b97f4a7c15ULL;
	u64 h = f->saddr.q[0];

	h = h * factor + f->saddr.q[1];
	h = h * factor + f->daddr.q[0];
	h = h * factor + f->daddr.q[1];
	h = h * factor + flow_ends(f);
	h ^= h >> 32;
	return h * factor >> 32;
}

#endif
