"""Protects: a body that touches what its manifest does not name is caught; the optimiser relies on nothing else than manifests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ebpfnf import spec
from ebpfnf.analyse import casefile, declared
from ebpfnf.model import Mnf

PROGS = spec.BUILT_IN / "progs"
MNFS = sorted(path.parent.name for path in PROGS.glob("*/mnf.yaml"))
EQUIVALENT = {  # declarations that can be taken away without a difference that a packet could show
    ("acl_5t", "ip.version"): "its addresses tell the version",
    ("check_ip", "ip.version"): "its addresses tell the version",
    ("lb_maglev", "ip.version"): "its address tells the version",
    ("route", "ip.proto"): "the kernel asks for it by policy rules only, and testbeds have none",
}
pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("name", MNFS)
def test_built_in_mnfs_touch_what_they_declare_and_each_declaration_taken_away_is_missed(name):
    folder = PROGS / name
    mnf = spec.load_mnf(folder)
    cases = casefile.read(folder, mnf)
    assert declared.check_mnf(mnf, cases) == ()
    directed = frozenset().union(*mnf.reads_when.values())
    unnoticed = {item for item in mnf.reads | directed if not _missed(_unread(mnf, item), cases, "reads", item)}
    unnoticed |= {item for item in mnf.writes if not _missed(_unwritten(mnf, item), cases, "writes", item)}
    assert unnoticed == {item for mnf_, item in EQUIVALENT if mnf_ == name}


def _missed(mnf: Mnf, cases: tuple[casefile.Case, ...], how: str, item: str) -> bool:
    return any(found.how == how and found.what == item for found in declared.undeclared(mnf, cases, item))


def _unread(mnf: Mnf, item: str) -> Mnf:
    return replace(mnf, reads=mnf.reads - {item}, reads_when={way: names - {item} for way, names in mnf.reads_when.items()})


def _unwritten(mnf: Mnf, item: str) -> Mnf:
    return replace(mnf, writes=mnf.writes - {item}, writes_always=mnf.writes_always - {item})


# body, more of the manifest, what must be told
BODIES = (
    ("pkt->m.class = 7;", "", {("writes", "m.class")}),
    ("set_ip_ttl(pkt, 9);", "", {("writes", "ip.ttl")}),
    ("payload_write(pkt, 0, 'x');", "", {("writes", "pl.head")}),
    ("if (get_ip_dscp(pkt) == 46) return DROP(no);", "", {("reads", "ip.dscp")}),
    ("if (pkt->m.backend == 2) return DROP(no);", "", {("reads", "m.backend")}),
    ("if (pkt->flow.dport == bpf_htons(80)) return DROP(no);", "", {("reads", "l4.dport")}),
    ("seen_add(get_ip_ttl(pkt) & 7, 1);", "state: {seen: {table: counter, size: 8, value: u64}}", {("reads", "ip.ttl")}),
    (
        "u64 one = 1; struct ip_addr a = pkt->flow.saddr; seen_update(&a, &one);",
        "state: {seen: {table: exact, key: ip, value: u64, size: 64, filled_by: packets, when_full: refuse}}",
        {("reads", "ip.src")},
    ),
    ("return pkt->flow.proto == 17 ? TX : NEXT;", "", {("verdicts", "a verdict"), ("reads", "ip.proto")}),
    (
        "if (get_pkt_len(pkt) > 100) pkt->m.class = 1;",
        "writes: [m.class]\nwrites_always: [m.class]",
        {("reads", "pkt.len"), ("writes_always", "m.class")},
    ),
    ("set_ip_dscp(pkt, 10);", "writes: [ip.dscp]\nwrites_always: [ip.dscp]", set()),
    ("pkt->m.hash = flow_hash(&pkt->flow);", "reads: [ip.src, ip.dst, ip.proto, l4.sport, l4.dport]\nwrites: [m.hash]", set()),
    (
        "struct ip_addr a = pkt->flow.saddr; u32 *v = known_lookup(&a); if (v) *v = 9;",
        "reads: [ip.src]\nparams: {known: {type: \"list[ip]\", default: [192.0.2.9]}}\n"
        "state: {known: {table: exact, key: ip, value: u32, size: 8, filled_by: operator, entries: known}}",
        {("writes", "known")},
    ),
)  # fmt: skip
CASES = """
- case: some packets
  steps:
    - {packet: "tcp 192.0.2.9:4000 > 198.51.100.7:80 flags S", verdict: NEXT}
    - {packet: "udp 192.0.2.9:53 > 198.51.100.7:53 payload 'hello' dscp 46", verdict: NEXT}
    - {packet: "udp [2001:db8::9]:53 > [2001:db8::7]:53 payload 'hello'", verdict: NEXT}
    - {packet: "tcp [2001:db8::9]:80 > [2001:db8::7]:4000", verdict: NEXT}
"""


@pytest.mark.parametrize(("body", "manifest", "told"), BODIES, ids=[row[0][:40] for row in BODIES])
def test_what_a_body_touches_beyond_its_manifest(body, manifest, told, tmp_path: Path):
    folder = tmp_path / "odd"
    folder.mkdir()
    verdicts = "verdicts: [NEXT, DROP]\nreasons: {no: not this one}\n" if "DROP" in body else "verdicts: [NEXT]\n"
    (folder / "mnf.yaml").write_text(f"mnf: odd\nsummary: odd\n{verdicts}{manifest}\n")
    end = "" if body.startswith("return") else "\treturn NEXT;\n"
    (folder / "mnf.c").write_text(f"MNF(struct pkt *pkt)\n{{\n\t{body}\n{end}}}\n")
    (folder / "cases.yaml").write_text(CASES)
    assert {(found.how, found.what) for found in declared.check(folder)} == told
