"""mNFs beside the path: what a copy of a packet must hold for them, and the maps through which copies go to their reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ebpfnf.generate import layout
from ebpfnf.generate.counters import Counters
from ebpfnf.generate.typed import CIdent, CInt
from ebpfnf.model import BESIDE, COPIES, COPY_BYTES, Fields, Graph, MapSpec
from ebpfnf.names import c_identifier

HEAD = 96  # bytes of a frame, before which two VLAN tags and the longest IPv4 header end
_RING, _READER_HEAD = 128, 64  # of the structs in beside.h
_LINE = 64
_IN_RECORD = frozenset(
    {"ip.version", "ip.src", "ip.dst", "ip.proto", "ip.frag", "l4.sport", "l4.dport", "tcp.flags", "eth.type", "vlan.id", "pkt.len"}
)
_IN_HEAD = frozenset({"eth.dst", "eth.src", "ip.dscp", "ip.ttl", "ip.len", "ip.csum"})


@dataclass(frozen=True, slots=True)
class Copy:
    """What a copy holds: so many words of the record's beginning, and bytes of the frame."""

    words: int
    bytes: int

    @property
    def size(self) -> int:
        """Bytes of struct copy in beside.h: whole cache lines, so that a packet touches as few as can be."""
        return -(-(16 + 8 * self.words + self.bytes) // _LINE) * _LINE


def copied(graph: Graph, fields: Fields, words: int) -> Copy:
    """As little as serves all that stands beside the path. Where all of the frame is wanted, one that is too long is lost."""
    mnfs = {stage.id: stage.mnf for stage in graph.stages}
    direction = {chain.name: chain.direction for chain in graph.deployment.chains}
    passed = [(mnfs[p.stage], direction[p.chain]) for run in graph.beside.values() for p in run]
    used = {name for mnf, way in passed for name in (*mnf.reads_in(way), *mnf.writes)}
    own = any(mnf.metadata for mnf, _ in passed) or any(name.count(".") > 1 for name in used)
    unseen = (used & fields.header.keys()) - _IN_RECORD
    return Copy(
        words if own else layout.words_up_to(fields, {name.removeprefix("m.") for name in used}),
        COPY_BYTES if unseen - _IN_HEAD else HEAD if unseen else 0,
    )


def maps(graph: Graph, copy: Copy, slot: int) -> tuple[MapSpec, ...]:
    """A ring for each CPU, which that CPU alone fills; what it holds; and the reader's own memory."""
    if not graph.beside:
        return ()
    return (
        MapSpec(BESIDE, "array", 4, _RING, 1, per_cpu_slots=True),
        MapSpec("copies", "array", 4, COPIES * copy.size, 1, per_cpu_slots=True),
        MapSpec("reader", "array", 4, _READER_HEAD + slot, 1),
    )


def view(graph: Graph, counters: Counters, copy: Copy) -> dict[str, Any] | None:
    """What the template needs; None where nothing stands beside the path."""
    if not graph.beside:
        return None
    return {
        "copies": CInt(COPIES),
        "words": CInt(copy.words),
        "bytes": CInt(copy.bytes),
        "whole": copy.bytes == COPY_BYTES,
        "size": CInt(copy.size),
        "runs": [
            {
                "first": CInt(first),
                "stages": [CIdent(c_identifier(position.stage)) for position in run],
                "bad_verdict": CInt(counters.by_chain[run[0].chain, "bad_verdict"]),
            }
            for first, run in graph.beside.items()
        ],
    }
