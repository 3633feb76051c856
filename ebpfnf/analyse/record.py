"""The record that travels with a packet, decoded: what a private copy's Outcome calls `metadata`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ebpfnf import spec
from ebpfnf.generate import layout
from ebpfnf.model import Graph
from ebpfnf.tables.types import Type, type_of

_TYPES = {"struct ip_addr": "ip", "struct mac_addr": "mac"}


def places(graph: Graph) -> dict[str, tuple[int, Type]]:
    """Offset and type of each metadata field in the record: `class`, or `<mnf>.<field>` for an mNF's own."""
    result, at = {}, 8 * layout.BEFORE_MD
    groups = [("", layout.metadata_members(spec.fields()))]
    groups += [(f"{mnf}.", members) for mnf, members in layout.own_metadata(graph.stages)]
    for prefix, members in groups:
        at = -(-at // max(layout.c_size(member.c)[1] for member in members)) * max(layout.c_size(member.c)[1] for member in members)
        start = at
        for member in members:
            size, align = layout.c_size(member.c)
            at = -(-at // align) * align
            result[prefix + member.name] = (at, type_of(_TYPES.get(member.c, member.c)))
            at += size
        if prefix:
            at = start + layout.struct_size(members)
    return result


def decode(record: bytes, places: Mapping[str, tuple[int, Type]]) -> dict[str, Any]:
    """Every field's canonical value."""
    return {name: kind.decode(record[at : at + kind.size]) for name, (at, kind) in places.items()}
