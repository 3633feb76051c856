"""Protects: what may change places, stand in or go. Each question is put to the calculus and, as a forged certificate, to the checker."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ebpfnf.errors import CertificateError
from ebpfnf.model import EXIT, Graph
from ebpfnf.optimise import check, digest, edit
from ebpfnf.optimise.certificate import Certificate, Step
from ebpfnf.optimise.legality import Law
from tests.optimise import synthetic as s
from tests.optimise.synthetic import FIELDS, graph

# what, the first mNF, the second, what the refusal must name
ILLEGAL_SWAPS = (
    ("NAT behind a firewall that sees the inside", s.SNAT, s.ACL, "ip.src|l4.sport"),
    ("a firewall before the NAT whose outside it was written for", s.ACL, s.SNAT, "ip.src|l4.sport|sessions"),
    ("a drop before a counter", s.SIZES, s.ACL, "v0.sizes.sizes"),
    ("a drop behind a counter of what passed it", s.ACL, s.SIZES, "v1.sizes.sizes"),
    ("validation before monitoring, which counts what the edge passed", s.SUBNETS, s.URL, "v0.subnets.counts"),
    ("a histogram of lengths beside decompression", s.DECOMPRESS, s.SIZES, "pkt.len"),
    ("a histogram of lengths before decompression", s.SIZES, s.DECOMPRESS, "pkt.len"),
    ("a firewall before decompression with a shared dictionary", s.DECOMPRESS_SHARED, s.ACL, "v0.decompress.dictionary"),
    ("HTTP classification before decompression", s.DECOMPRESS, s.HTTP_PLAIN, "pl.head"),
    ("the load balancer before a count of what it rewrites", s.SUBNETS, s.DNAT, "ip.dst"),
    ("a count of subnets behind the load balancer", s.DNAT, s.SUBNETS, "ip.dst"),
    ("an answer before a mark: TX emits the bytes", s.DSCP, s.ECHO, "ip.dscp"),
    ("a mark before an answer", s.ECHO, s.DSCP, "ip.dscp"),
    ("TTL before the ICMP error that tells of it", s.ICMP_ERROR, s.TTL, "ip.ttl"),
    ("the ICMP error behind TTL", s.TTL, s.ICMP_ERROR, "ip.ttl"),
    ("policing inside instead of outside of a tunnel", s.ENCAP, s.POLICE, "pkt.len"),
    ("policing outside instead of inside of a tunnel", s.POLICE, s.ENCAP, "pkt.len"),
    ("a SYN cookie before a counter", s.SIZES, s.SYN_COOKIE, "v0.sizes.sizes"),
    ("a SYN cookie before a sketch", s.SKETCH, s.SYN_COOKIE, "v0.sketch.heavy"),
    ("a mirror behind a rewrite", s.MIRROR, s.DNAT, "ip.dst"),
    ("a mirror before a rewrite", s.DNAT, s.MIRROR, "ip.dst"),
    ("a mirror of what a firewall drops", s.ACL, s.MIRROR, "v1.mirror.copies"),
    ("VLAN pop before the L2 firewall", s.ACL_L2, s.VLAN_POP, "vlan.id"),
    ("the L2 firewall behind VLAN pop", s.VLAN_POP, s.ACL_L2, "vlan.id"),
    ("the parser's copy of the VLAN id behind VLAN pop", s.VLAN_POP, s.VLAN_COPY, "vlan_id|vlan.id"),
    ("two NATs", s.SNAT, s.DNAT, "ip.src|ip.dst|l4.sport"),
    ("two drops: who it was is counted", s.ACL, s.URL, "check|both|acl"),
    ("fragments sorted out behind the firewall", s.FRAGMENTS, s.ACL, "no_fragments|both"),
    ("a classifier behind its reader", s.HASH, s.PICK, "m.hash"),
    ("HTTP's class behind who reads it", s.HTTP, s.URL, "m.http"),
    ("two classes: the last one holds", s.ACL, s.LENGTH, "m.class"),
    ("a marker by class before its classifier", s.LENGTH, s.DSCP_BY_CLASS, "m.class"),
    ("two marks: the last one holds", s.DSCP, s.DSCP_BY_CLASS, "ip.dscp"),
    ("a TCP port read behind a write of L4 ports", s.PORT_SET, s.TCP_PORTS, "tcp.dport|l4.dport"),
    ("the length as the parser saw it behind decompression", s.DECOMPRESS, s.LENGTH, "m.len|pkt.len"),
    ("an offset behind a change of length", s.DECOMPRESS, s.OFFSETS, "m.l4"),
    ("a mark before what passes the packet up by an outcome", s.UNSURE_PASSES, s.DSCP, "ip.dscp"),
    ("a drop before an outcome that is counted", s.SPLIT, s.PLAIN_DROP, "odd"),
    ("a route before the address it is for", s.DNAT, s.ROUTE, "ip.dst"),
    ("the kernel gets the packet before TTL, not behind", s.TTL, s.ROUTE, "ip.ttl"),
    ("MACs before the route they are from", s.ROUTE, s.MACS, "m.nh_dst|eth.dst|m.nh_src"),
    ("a drop by rate before a counter: state and ending", s.SIZES, s.RATE, "v0.sizes.sizes"),
    ("a firewall before who remembers every source", s.RATE, s.PLAIN_DROP, "v0.rate.seen|both"),
    ("an mNF's own metadata behind who reads it", s.SCORE, s.SCORE_USER, "m.score.points"),
    ("the same mNF's own metadata twice", s.SCORE, s.SCORE, "m.score.points"),
    ("a machine before a hash", s.HASH, s.MACHINE, "machine|here"),
    ("a hash before a machine", s.MACHINE, s.HASH, "machine|here"),
    ("a drop before a machine that would have lost the packet first", s.MACHINE, s.URL, "machine|pl.head"),
    ("a drop by metadata before a machine: who ends the packet is counted", s.MACHINE, s.SCORE_USER, "machine|here"),
    ("a drop behind a machine", s.ACL, s.MACHINE, "machine|ip.dst"),
    ("a count of what came back before the machine, which makes two of one", s.MACHINE, s.SIZES, "machine|pkt.len"),
    ("a count of what was sent behind a machine, which loses some", s.SKETCH, s.MACHINE, "machine|ip.src"),
    ("a mark behind the machine that sees it", s.DSCP, s.MACHINE, "machine|ip.dscp"),
    ("a NAT before a machine, which would see the inside", s.MACHINE, s.SNAT, "machine|ip.src"),
    ("metadata alone before a machine: nothing changes places with one", s.MACHINE, s.COPY, "machine|here"),
    ("two machines in another order", s.MACHINE, s.mnf("other", runs_in="unikernel"), "machine|eth.dst"),
)
LEGAL_SWAPS = (
    ("a drop before a hash that it does not read", s.HASH, s.PLAIN_DROP),
    ("a mark before a firewall that does not read it", s.DSCP, s.ACL),
    ("a firewall before decompression without a dictionary", s.DECOMPRESS, s.ACL),
    ("two monitors", s.SIZES, s.SUBNETS),
    ("a monitor and a classifier that remembers", s.SIZES, s.HTTP),
    ("a monitor and a NAT of what it does not read", s.SIZES, s.SNAT),
    ("a policer by class and a hash", s.HASH, s.POLICE),
    ("marks of different fields", s.DSCP, s.TTL_SET),
    ("an answer before a class: metadata stays here", s.LENGTH, s.ECHO),
    ("MACs and TTL", s.TTL, s.MACS),
    ("a counter and a sketch", s.SUBNETS, s.SKETCH),
    ("what is read in the other direction only", s.mnf("src", "", "ip.src"), s.SUBNETS),
)


def forged(before: Graph, after: Graph, *steps: Step) -> Certificate:
    return Certificate(digest(before), digest(after), steps)


@pytest.mark.parametrize(("what", "first", "second", "names"), ILLEGAL_SWAPS, ids=[row[0] for row in ILLEGAL_SWAPS])
def test_illegal_moves_are_refused_by_the_field_or_state_that_forbids_them(what, first, second, names):
    before = graph([first, second], [(0, "odd", 1)])
    why = Law(before, FIELDS).no_swap(0, 1)
    assert re.search(names, why), f"{what}: {why or 'allowed'}"
    after = edit.swap(before, 0, 1)
    with pytest.raises(CertificateError, match=r"step 1 of the certificate, swap") as refused:
        check(before, forged(before, after, Step("swap", (0, 1))), after, FIELDS)
    assert re.search(names, str(refused.value)), f"{what}: {refused.value}"


@pytest.mark.parametrize(("what", "first", "second"), LEGAL_SWAPS, ids=[row[0] for row in LEGAL_SWAPS])
def test_legal_moves_are_allowed(what, first, second):
    before = graph([first, second])
    assert Law(before, FIELDS).no_swap(0, 1) == ""
    after = edit.swap(before, 0, 1)
    check(before, forged(before, after, Step("swap", (0, 1))), after, FIELDS)
    assert [p.index for p in after.positions] == [1, 0] and after.entries == {"c": 1}
    assert {(k.source, k.target) for k in after.links if k.outcome == "NEXT"} == {(1, 0), (0, EXIT)}


# what, graph, (second, first), what the refusal must name
ILLEGAL_MERGES = (
    ("a write between to what it reads", graph([s.HASH, s.DNAT, s.HASH]), (2, 0), "ip.dst|l4.dport"),
    ("a write between to what it writes", graph([s.HASH, s.mnf("other", "", "m.hash"), s.HASH]), (2, 0), "m.hash"),
    ("a second instance has a state of its own", graph([s.HTTP, s.HTTP]), (1, 0), "flows"),
    ("a second instance has rules of its own", graph([s.ACL, s.ACL]), (1, 0), "rules"),
    ("counters count twice", graph([s.SIZES, s.SIZES]), (1, 0), "sizes"),
    ("twice is not once", graph([s.TTL, s.TTL]), (1, 0), "ip.ttl"),
    ("an other configuration", graph([s.HASH, s.HASH], config={0: {"seed": 1}, 1: {"seed": 2}}), (1, 0), "seed|same parameters"),
    ("an other mNF", graph([s.HASH, s.DSCP]), (1, 0), "mNF"),
    ("a way past the first", graph([s.SPLIT, s.HASH, s.HASH], [(0, "odd", 2)]), (2, 1), "past|did not pass"),
    ("the first led there by an outcome", graph([s.SPLIT, s.SPLIT, s.IDENTITY], [(0, "odd", 1), (1, "odd", 2)]), (1, 0), "odd|by NEXT"),
    ("its ways part", graph([s.SPLIT, s.SPLIT, s.IDENTITY], [(0, "odd", 2), (1, "odd", EXIT)]), (1, 0), "several places|one way out"),
    ("HTTP without decompressed bytes", graph([s.HTTP_PLAIN, s.DECOMPRESS, s.HTTP_PLAIN]), (2, 0), "pl.head"),
    ("an answer by other bytes", graph([s.ECHO, s.DSCP, s.ECHO]), (2, 0), "ip.dscp"),
    ("a route by other ports", graph([s.ROUTE, s.PORT_SET, s.ROUTE]), (2, 0), "l4.dport"),
    ("over a machine, from which packets come anew", graph([s.HASH, s.MACHINE, s.HASH]), (2, 0), "ip.dst"),
    ("two machines", graph([s.MACHINE, s.MACHINE]), (1, 0), "machines of"),
    ("over a machine whose manifest says that it writes nothing", graph([s.PLAIN_DROP, s.MACHINE, s.PLAIN_DROP]), (2, 0), "ip.dst"),
    ("a mark that stood there already, before the machine", graph([s.DSCP, s.MACHINE, s.DSCP]), (2, 0), "ip.dscp"),
    ("over a machine, by what the parser copies", graph([s.LENGTH, s.MACHINE, s.LENGTH]), (2, 0), "m.len|pkt.len"),
    ("over a machine, by an offset", graph([s.OFFSETS, s.MACHINE, s.OFFSETS]), (2, 0), "m.l4"),
    ("over a machine, by metadata alone: a body may ask for m.have", graph([s.COPY, s.MACHINE, s.COPY]), (2, 0), "m.have"),
    (
        "over decompression in a machine",
        graph([s.HTTP_PLAIN, replace(s.DECOMPRESS, runs_in="unikernel"), s.HTTP_PLAIN]),
        (2, 0),
        "ip.proto",
    ),
    ("on one of two ways stands a machine", graph([s.HASH, s.SPLIT, s.MACHINE, s.HASH], [(1, "odd", 3)]), (3, 0), "ip.dst"),
    ("its own metadata", graph([s.SCORE, s.SCORE]), (1, 0), "m.score.points"),
)


@pytest.mark.parametrize(("what", "before", "of", "names"), ILLEGAL_MERGES, ids=[row[0] for row in ILLEGAL_MERGES])
def test_illegal_merges_are_refused(what, before, of, names):
    why = Law(before, FIELDS).no_merge(of[1], of[0])
    assert re.search(names, why), f"{what}: {why or 'allowed'}"
    with pytest.raises(CertificateError, match="merge") as refused:
        check(before, forged(before, before, Step("merge", of)), before, FIELDS)
    assert re.search(names, str(refused.value)), str(refused.value)


LEGAL_MERGES = (
    ("a check over VNF borders", graph([s.PLAIN_DROP, s.SIZES, s.DSCP, s.PLAIN_DROP]), (3, 0)),
    ("a hash, nothing of it written between", graph([s.HASH, s.TTL, s.HASH]), (2, 0)),
    ("HTTP, kept over a counter", graph([s.HTTP_PLAIN, s.SIZES, s.HTTP_PLAIN]), (2, 0)),
    ("behind a branch that joins again", graph([s.HASH, s.SPLIT, s.DSCP, s.HASH], [(1, "odd", 3)]), (3, 0)),
    ("a hash in front of a machine", graph([s.HASH, s.TTL, s.HASH, s.MACHINE, s.PICK]), (2, 0)),
    ("a hash behind a machine", graph([s.HASH, s.MACHINE, s.HASH, s.TTL, s.HASH]), (4, 2)),
    ("an answer that was not given the first time", graph([s.ECHO, s.SIZES, s.ECHO]), (2, 0)),
)


@pytest.mark.parametrize(("what", "before", "of"), LEGAL_MERGES, ids=[row[0] for row in LEGAL_MERGES])
def test_legal_merges_are_allowed(what, before, of):
    assert Law(before, FIELDS).no_merge(of[1], of[0]) == ""
    after = edit.remove(before, of[0])
    check(before, forged(before, after, Step("merge", of)), after, FIELDS)


# what, graph, position, what the refusal must name; empty: it goes
DROPS = (
    ("metadata that is read", graph([s.HASH, s.PICK]), 0, "m.hash"),
    ("metadata that nobody reads", graph([s.HASH, s.SIZES]), 0, ""),
    ("metadata that is written anew before it is read", graph([s.HASH, s.HASH, s.PICK]), 0, ""),
    ("metadata that is maybe written anew", graph([s.LENGTH, s.ACL, s.DSCP_BY_CLASS]), 0, "m.class"),
    ("the port that a route chose", graph([s.mnf("r", "ip.dst", "m.fwd_port")], then="route"), 0, "m.fwd_port"),
    ("bytes that leave", graph([s.DSCP]), 0, "ip.dscp"),
    ("bytes that are dropped", graph([s.DSCP], then="drop"), 0, ""),
    ("bytes that are dropped, unless they are passed up", graph([s.DSCP, s.ROUTE], then="drop"), 0, "ip.dscp"),
    ("bytes that are dropped, unless an outcome passes them up", graph([s.DSCP, s.UNSURE_PASSES], then="drop"), 0, "ip.dscp"),
    ("bytes that are overwritten", graph([s.DSCP, s.DSCP]), 0, ""),
    ("bytes that are overwritten behind an answer", graph([s.DSCP, s.ECHO, s.DSCP]), 0, "ip.dscp"),
    ("bytes that a mirror has seen", graph([s.DSCP, s.MIRROR, s.DSCP]), 0, "ip.dscp"),
    ("on one of two ways it is used", graph([s.HASH, s.SPLIT, s.PICK], [(1, "odd", 2), (1, "NEXT", EXIT)]), 0, "m.hash"),
    ("a table is state", graph([s.HTTP]), 0, "tables|more than writing"),
    ("a drop is an effect", graph([s.PLAIN_DROP]), 0, "end|more than writing"),
    ("an outcome is counted", graph([s.mnf("o", outcomes={"x": "NEXT"})]), 0, "x|more than writing"),
    ("its own metadata that nobody reads", graph([s.SCORE, s.SIZES]), 0, ""),
    ("its own metadata that another reads", graph([s.SCORE, s.SCORE_USER]), 0, "m.score.points"),
    ("bytes that a machine sees before they are overwritten", graph([s.DSCP, s.MACHINE, s.DSCP]), 0, "ip.dscp"),
    ("bytes that a machine sees before they are dropped", graph([s.DSCP, s.MACHINE], then="drop"), 0, "ip.dscp"),
    ("metadata for who reads it behind a machine", graph([s.HASH, s.MACHINE, s.PICK]), 0, "m.hash"),
    ("metadata that a machine can't see, and nobody behind it", graph([s.HASH, s.MACHINE, s.SIZES]), 0, ""),
    ("metadata that is written anew behind a machine", graph([s.HASH, s.MACHINE, s.HASH, s.PICK]), 0, ""),
    ("a machine whose packets are dropped", graph([s.MACHINE], then="drop"), 0, "end the packet|more than writing"),
    ("nothing at all", graph([s.IDENTITY]), 0, ""),
)


@pytest.mark.parametrize(("what", "before", "index", "names"), DROPS, ids=[row[0] for row in DROPS])
def test_only_what_nobody_uses_goes(what, before, index, names):
    why = Law(before, FIELDS).no_drop(index)
    assert bool(why) == bool(names) and re.search(names, why), f"{what}: {why or 'allowed'}"
    after = edit.remove(before, index)
    certificate = forged(before, after, Step("drop", (index,)))
    if not names:
        check(before, certificate, after, FIELDS)
        return
    with pytest.raises(CertificateError, match="drop") as refused:
        check(before, certificate, after, FIELDS)
    assert re.search(names, str(refused.value)), str(refused.value)


def test_a_swap_needs_one_way_in_and_one_way_out():
    joins = graph([s.SPLIT, s.HASH, s.PLAIN_DROP], [(0, "odd", 2)])
    assert "past" in Law(joins, FIELDS).no_swap(1, 2)
    parts = graph([s.HASH, s.mnf("p", outcomes={"x": ""}), s.DSCP], [(1, "x", EXIT)])
    assert "several places" in Law(parts, FIELDS).no_swap(0, 1)
    for before, of in ((joins, (1, 2)), (parts, (0, 1))):
        with pytest.raises(CertificateError, match=r"way in|lead straight"):
            check(before, forged(before, before, Step("swap", of)), before, FIELDS)
