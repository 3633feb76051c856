"""Graphs for tests of the calculus: manifests that need no body, and links between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ebpfnf import spec
from ebpfnf.graph.expand import _outcomes  # the same rule for what a node offers
from ebpfnf.model import DROPPED, EXIT, PASSED, Chain, Deployment, Graph, Link, Mnf, Port, Position, Stage, TableSpec

FIELDS = spec.fields()
_DEFAULTS = {"DROP": DROPPED, "PASS": PASSED}


def mnf(
    name: str,
    reads: str = "",
    writes: str = "",
    *,
    verdicts: str = "NEXT",
    always: str = "",
    tables: str = "",
    outcomes: Mapping[str, str] | None = None,
    own: str = "",
    reverse: str = "",
    runs_in: str = "xdp",
) -> Mnf:
    """A manifest; lists are words, `tables` are words `kind:name`, operator's ones with a `!` behind the name."""
    return Mnf(
        name=name, folder=f"/{name}", summary="", reads=frozenset(reads.split()), writes=frozenset(writes.split()),
        reads_when={"reverse": frozenset(reverse.split())} if reverse else {}, verdicts=tuple(verdicts.split()), outcomes=outcomes or {},
        params=(), tables=tuple(map(_table, tables.split())), reasons={f"{name}_drop": ""} if "DROP" in verdicts else {},
        metadata={field: "u32" for field in own.split()}, scratch={}, runs_in=runs_in, writes_always=frozenset(always.split()),
    )  # fmt: skip


def _table(text: str) -> TableSpec:
    kind, _, name = text.partition(":")
    return TableSpec(name.rstrip("!"), kind, "u32", "u64", 16, filled_by="operator" if name.endswith("!") else "packets")


def graph(
    mnfs: Iterable[Mnf],
    links: Iterable[tuple[int, str, int]] = (),
    *,
    then: str = "pass",
    direction: str = "forward",
    config: Mapping[int, Mapping[str, Any]] | None = None,
) -> Graph:
    """A chain of these mNFs, each in an instance of its own (`v0.<mnf>`, `v1.<mnf>`), one behind the other where no link says else."""
    nodes = list(mnfs)
    stages = tuple(Stage(f"v{k}.{node.name}", f"v{k}", node.name, node, (config or {}).get(k, {})) for k, node in enumerate(nodes))
    given = {(source, outcome): target for source, outcome, target in links}
    every = []
    for k, node in enumerate(nodes):
        following = given.get((k, "NEXT"), k + 1 if k + 1 < len(nodes) else EXIT)
        for outcome, default in _outcomes(node).items():
            every.append(Link(k, outcome, given.get((k, outcome), _DEFAULTS.get(default, following))))
    chain = Chain("c", "p", direction, {}, tuple(stage.instance for stage in stages), then)
    deployment = Deployment("d", (Port("p", 1, "eth0"),), (), (chain,))
    positions = tuple(Position(k, "c", stage.id, k) for k, stage in enumerate(stages))
    return Graph(deployment, stages, positions, tuple(every), {"c": 0 if nodes else EXIT})


FIVE = "ip.src ip.dst ip.proto l4.sport l4.dport"
ACL = mnf("acl", FIVE, "m.class", verdicts="NEXT DROP", tables="acl:rules!")
ACL_L2 = mnf("acl_l2", "eth.src eth.dst eth.type vlan.id", verdicts="NEXT DROP", tables="acl:rules!")
PLAIN_DROP = mnf("check", FIVE, verdicts="NEXT DROP")
SIZES = mnf("sizes", "pkt.len", tables="histogram:sizes")
SUBNETS = mnf("subnets", "pkt.len ip.dst", reverse="ip.src", tables="prefix:nets! counter:counts")
HASH = mnf("hash", FIVE, "m.hash", always="m.hash")
PICK = mnf("pick", "ip.dst l4.dport m.hash", "m.backend m.backend_ip", verdicts="NEXT DROP", outcomes={"not_ours": "NEXT"})
SNAT = mnf("snat", FIVE, "ip.src l4.sport", tables="connections:sessions")
DNAT = mnf("dnat", FIVE + " m.backend_ip", "ip.dst l4.dport", tables="connections:sessions")
DECOMPRESS = mnf("decompress", "pl.head", "pl.head pkt.len")
DECOMPRESS_SHARED = mnf("decompress", "pl.head", "pl.head pkt.len", tables="exact:dictionary")
HTTP = mnf("http", FIVE + " pl.head", "m.http", always="m.http", tables="connections:flows")
HTTP_PLAIN = mnf("http", "ip.proto pl.head", "m.http", always="m.http")
URL = mnf("url", "m.http pl.head", verdicts="NEXT DROP")
ECHO = mnf("icmp_echo", "ip.proto", verdicts="NEXT TX")
DSCP = mnf("dscp_mark", "", "ip.dscp", always="ip.dscp")
DSCP_BY_CLASS = mnf("dscp_class", "m.class", "ip.dscp", always="ip.dscp")
TTL = mnf("ttl_dec", "ip.ttl", "ip.ttl", verdicts="NEXT DROP")
TTL_SET = mnf("ttl_set", "", "ip.ttl", always="ip.ttl")
ICMP_ERROR = mnf("time_exceeded", "ip.ttl", verdicts="NEXT TX")
POLICE = mnf("police", "pkt.len m.class", verdicts="NEXT DROP", tables="meter:buckets")
ENCAP = mnf("encap", "ip.dst", "tun.vni ip.src ip.dst pkt.len")
MIRROR = mnf("mirror", "ip.src ip.dst pl.head pkt.len eth.src eth.dst ip.ttl ip.dscp", tables="events:copies")
SYN_COOKIE = mnf("syn_cookie", FIVE + " tcp.flags tcp.seq", verdicts="NEXT DROP TX")
VLAN_POP = mnf("vlan_pop", "vlan.id", "vlan.id pkt.len")
FRAGMENTS = mnf("no_fragments", "ip.frag", verdicts="NEXT DROP")
SPLIT = mnf("split", "ip.dst", outcomes={"odd": ""})
IDENTITY = mnf("identity")
MACS = mnf("macs", "m.nh_dst m.nh_src", "eth.dst eth.src", always="eth.dst eth.src")
ROUTE = mnf("route", "ip.dst ip.ttl", "m.fwd_port m.nh_dst m.nh_src", verdicts="NEXT DROP PASS", always="m.fwd_port m.nh_dst m.nh_src")
SCORE = mnf("score", "ip.src", own="points")
SCORE_USER = mnf("score_user", "m.score.points", verdicts="NEXT DROP")
UNSURE = mnf("scan", "m.http pl.head", verdicts="NEXT DROP", outcomes={"unsure": "NEXT"})
UNSURE_PASSES = mnf("to_stack", "ip.proto", outcomes={"unsure": "PASS"})
SKETCH = mnf("sketch", "ip.src", tables="sketch:heavy")
RATE = mnf("rate", "ip.src", verdicts="NEXT DROP", tables="exact:seen")
TCP_PORTS = mnf("tcp_ports", "tcp.dport", verdicts="NEXT DROP")
PORT_SET = mnf("port_set", "", "l4.dport")
LENGTH = mnf("length_log", "m.len", "m.class")
OFFSETS = mnf("offsets", "m.l4", "m.class")
VLAN_COPY = mnf("vlan_class", "m.vlan_id", "m.class")
COPY = mnf("copy", "m.class", "m.doubt")
MACHINE = mnf("machine", "pl.head", runs_in="unikernel")
