"""What an mNF does at its place, as its manifest says: fields and tables that it reads and writes, whether it may end the packet.

The letters of the calculus: R, W are fields read and written, SR, SW tables (adding to a counter commutes with adding). D may end the
packet, P may end it by passing its bytes on (PASS, TX, REDIRECT). E leaves something that can be seen: a count, an entry, a packet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ebpfnf.model import DROPPED, PASSED, Mnf

_EMITTING = frozenset({"PASS", "TX", "REDIRECT"})
_ADDED_TO = frozenset({"counter", "histogram"})
_PARSED = {
    "m.ip_version": "ip.version", "m.tcp_flags": "tcp.flags", "m.eth_type": "eth.type", "m.vlan_id": "vlan.id",
    "m.len": "pkt.len", "m.frag": "ip.frag",
}  # fmt: skip
_OFFSETS = frozenset({"m.l3", "m.l4", "m.pl", "m.pl_len", "ip.len"})  # a change of length re-parses


def atoms(name: str) -> frozenset[str]:
    """A field in parts that don't overlap: `l4.sport` is TCP's and UDP's, the parser's copy of a header field is that field."""
    name = _PARSED.get(name, name)
    layer, _, part = name.partition(".")
    return frozenset({f"tcp.{part}", f"udp.{part}"}) if layer == "l4" else frozenset({name})


def all_atoms(names: Iterable[str]) -> frozenset[str]:
    """The parts of several fields."""
    return frozenset(atom for name in names for atom in atoms(name))


def overlap(some: Iterable[str], others: Iterable[str]) -> str:
    """The first of `others`, in order of name, that one of `some` overlaps; empty when none does."""
    parts = all_atoms(some)
    return next((name for name in sorted(others) if atoms(name) & parts), "")


def in_packet(name: str) -> bool:
    """Whether a field's bytes leave with the packet; the record `m` does not."""
    return not name.startswith("m.")


def anew(name: str) -> bool:
    """Whether a field is another where a machine gave the packet back: all but the record's own, whatever the machine's manifest says."""
    return in_packet(name) or name in _PARSED or name in _OFFSETS


@dataclass(frozen=True, slots=True)
class Effects:
    """One position's effects; tables by their full names, `<instance>.<node>.<table>`."""

    stage: str
    reads: frozenset[str]
    writes: frozenset[str]
    always: frozenset[str]  # of what is written: by every packet that goes on
    looks: frozenset[str]
    changes: frozenset[str]
    adds: frozenset[str]
    ends: bool
    emits: bool
    outcomes: tuple[str, ...]  # each is counted
    away: bool = False  # a machine does it: packets leave, and come back later, as others, or not at all

    @property
    def tables(self) -> frozenset[str]:
        """Every table that it has."""
        return self.looks | self.changes | self.adds

    @property
    def seen(self) -> str:
        """What of it can be seen afterwards, or an empty string."""
        if self.changes:
            return f"writes '{min(self.changes)}'"
        if self.adds:
            return f"counts in '{min(self.adds)}'"
        if self.emits:
            return "may pass the packet on"
        return f"counts its outcome '{self.outcomes[0]}'" if self.outcomes else ""


def effects(stage: str, mnf: Mnf, direction: str, links: Mapping[str, int]) -> Effects:
    """The effects of a stage where its outcomes lead to these targets."""
    own = frozenset(f"m.{mnf.name}.{name}" for name in mnf.metadata)
    writes = mnf.writes | own
    looks, changes, adds = set(), set(), set()
    for table in mnf.tables:
        name = f"{stage}.{table.name}"
        if table.kind in _ADDED_TO:
            adds.add(name)
        else:
            looks.add(name)
            if table.filled_by != "operator":
                changes.add(name)
    away = mnf.runs_in != "xdp"
    emits = away or bool(_EMITTING & set(mnf.verdicts)) or PASSED in links.values()
    return Effects(
        stage=stage,
        reads=mnf.reads_in(direction) | own,
        writes=writes | _OFFSETS if "pkt.len" in writes else writes,
        always=mnf.writes_always,
        looks=frozenset(looks),
        changes=frozenset(changes),
        adds=frozenset(adds),
        ends=emits or "DROP" in mnf.verdicts or DROPPED in links.values(),
        emits=emits,
        outcomes=tuple(mnf.outcomes),
        away=away,
    )


def conflict(first: Effects, second: Effects) -> str:
    """Why the two may not change places, or an empty string: they commute."""
    if first.away or second.away:
        return f"packets leave for the machine of '{(first if first.away else second).stage}' and come back anew"
    return _one_way(first, second) or _one_way(second, first) or _ends(first, second)


def _one_way(a: Effects, b: Effects) -> str:
    """What `a` does to `b`."""
    if field := overlap(a.writes, b.reads):
        return f"'{a.stage}' writes '{field}', which '{b.stage}' reads"
    if field := overlap(a.writes, b.writes):
        return f"both '{a.stage}' and '{b.stage}' write '{field}'"
    if shared := sorted(a.changes & b.tables):
        return f"'{a.stage}' writes '{shared[0]}', which '{b.stage}' uses"
    if shared := sorted(a.adds & b.looks):
        return f"'{a.stage}' adds to '{shared[0]}', which '{b.stage}' reads"
    if a.emits and (bytes_ := sorted(filter(in_packet, b.writes))):
        return f"'{a.stage}' may pass the packet on, with or without '{bytes_[0]}' as '{b.stage}' writes it"
    if a.ends and not b.ends and b.seen:
        return f"'{a.stage}' may end the packet, '{b.stage}' {b.seen}"
    return ""


def _ends(a: Effects, b: Effects) -> str:
    return f"both '{a.stage}' and '{b.stage}' may end the packet, and who does is counted" if a.ends and b.ends else ""
