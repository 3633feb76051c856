"""What progs/framework/direct.c.j2 needs of a direct table: integers, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ebpfnf.model import Table
from ebpfnf.tables.direct import exact, rules, sets, shape
from ebpfnf.tables.direct.place import stagger, up
from ebpfnf.tables.direct.trie import root_bits
from ebpfnf.tables.match import match_fields
from ebpfnf.tables.types import Type


@dataclass(frozen=True, slots=True)
class Dim:
    """A dimension of an acl: how the packet's value leads to a vector of the rules that it may fit."""

    place: int  # of the part of a rule that it is
    wide: int  # 1: address or MAC, through a trie; 0: a cell for each value
    mac: int
    at: int
    last: int  # the largest of its values


@dataclass(frozen=True, slots=True)
class DirectView:
    """Offsets and sizes; those that a kind does not have are 0."""

    at: int
    halves_at: int = 0
    room: int = 0
    root_bits: int = 0
    entries_at: int = 0
    stride: int = 0
    buckets: int = 0
    key_words: int = 0
    slot: int = 0
    small: int = 0  # acl: bytes of a small part
    alive_at: int = 0
    root_size: int = 0
    vector_size: int = 0
    area_size: int = 0
    aggregates: int = 0
    words: int = 0
    order_at: int = 0
    named: tuple[Dim, ...] = ()  # by a rule of the operator's file
    unnamed: tuple[Dim, ...] = ()
    unnamed_bits: int = 0
    idle_at: int = 0


def direct_view(table: Table, key: Type, value: Type) -> tuple[DirectView, ...]:
    """One view, or none where a kernel map stands behind the table."""
    if table.backing != "direct":
        return ()
    at = stagger(table)
    if table.kind in ("counter", "histogram"):
        return (DirectView(at=at, slot=shape.slot(table, value)),)
    if table.filled_by == "packets":
        return (
            DirectView(
                at=at, entries_at=sets.entries_at(table), stride=sets.stride(key.size, value.size), buckets=sets.sets(table.size),
                key_words=up(key.size, 8) // 8,
            ),
        )  # fmt: skip
    view = DirectView(at=at, halves_at=shape.halves_at(table, value), room=table.room)
    match table.kind:
        case "prefix":
            view = replace(view, root_bits=root_bits(table.size))
        case "exact":
            view = replace(
                view, entries_at=exact.entries_at(table), stride=exact.stride(key.size, value.size), buckets=exact.buckets(table.size),
                key_words=up(key.size, 8) // 8,
            )  # fmt: skip
        case "acl":
            view = _acl(view, table, value)
    return (view,)


def _acl(view: DirectView, table: Table, value: Type) -> DirectView:
    small = replace(view, small=shape.small_size(table, value))
    if not table.slots:
        return small
    layout, slots, named = shape.acl_layout(table), table.slots, _named(table)
    dims = [
        (Dim(place, int(dim.wide), int(dim.mac), dim.at, (1 << dim.bits) - 1), dim.part.name in named)
        for place, dim in enumerate(rules.dims(layout, slots))
    ]
    return replace(
        small, alive_at=shape.alive_at(table, value), root_bits=root_bits(slots), root_size=4 << root_bits(slots),
        aggregates=rules.aggregates(slots), words=slots // 64, vector_size=8 * rules.aggregates(slots) + slots // 8,
        area_size=shape.map_size(table, value) - view.at, order_at=rules.order_at(layout, slots),
        named=tuple(dim for dim, yes in dims if yes), unnamed=tuple(dim for dim, yes in dims if not yes),
        unnamed_bits=sum(1 << dim.place for dim, yes in dims if not yes), idle_at=rules.IDLE,
    )  # fmt: skip


def _named(table: Table) -> set[str]:
    """The parts of a rule of which a rule of the operator's file says something."""
    found, fields = set[str](), {field.name: field for field in match_fields(table.key)}
    for _, entry in table.entries:
        found |= {"have"} if entry.get("require") or entry.get("exclude") else set()
        for name in entry["match"]:
            found |= {name, *(["have"] if fields[name].needs else ()), *(["ip.version"] if fields[name].type == "prefix" else ())}
    return found
