"""What progs/framework/tables.c.j2 needs of a table: integers and identifiers, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ebpfnf.errors import TableError
from ebpfnf.model import Table
from ebpfnf.tables import acl, maglev
from ebpfnf.tables.direct.shape import acl_layout
from ebpfnf.tables.direct.view import DirectView, direct_view
from ebpfnf.tables.layout import capacity, has_stats, key_type, stats_map_name, value_type
from ebpfnf.tables.types import Bytes, Enumeration, Record, Type


@dataclass(frozen=True, slots=True)
class CField:
    """A field of a struct; `struct` says that `c` is a struct's tag; `count` is not 0 for an array."""

    name: str
    c: str
    struct: int
    count: int
    align: int
    offset: int


@dataclass(frozen=True, slots=True)
class CType:
    """A key's or value's type: a scalar (`fields` is empty), or a struct of the table's own."""

    c: str
    struct: int
    size: int
    align: int
    fields: tuple[CField, ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """A name of an enum in a value, in capitals, and its number."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Gather:
    """How a match field comes from the packet into the key. `how`: have, address, mac, number, network (be16), or range forms."""

    how: str  # have | address | mac | number | port
    name: str  # get_<name>(pkt), or pkt->m.<name>
    metadata: int
    range: int
    word: int
    shift: int


@dataclass(frozen=True, slots=True)
class TableView:
    """One table of one stage. Names begin with `prefix`; `aliases` are what the body calls them without it."""

    prefix: str
    name: str
    kind: str
    map_id: int
    stats_id: int
    has_stats: int
    filled_by_packets: int
    evicts: int
    host: int
    size: int  # entries; histogram: buckets + 1
    key: CType
    value: CType
    constants: tuple[Constant, ...]
    buckets: tuple[int, ...]
    words: int
    shared: tuple[int, ...]  # those of the words that are no address's
    ranges: int
    record_size: int
    values_at: int
    slots: int
    states: int  # automaton: of lexer and grammar each, a power of two
    gather: tuple[Gather, ...]
    aliases: tuple[str, ...]
    direct: tuple[DirectView, ...]  # one, or none: a kernel map stands behind it


def template_view(table: Table, prefix: str, ids: Mapping[str, int]) -> TableView:
    """The view of a table for a stage whose C names begin with `prefix`; `ids`: map name -> symbolic id."""
    name = table.name.rpartition(".")[2]
    key, value = key_type(table), value_type(table)
    constants = _constants(value)
    words = ranges = record_size = values_at = states = 0
    size, gather, shared = table.size, tuple[Gather, ...](), tuple[int, ...]()
    if table.kind == "acl":
        size, layout = capacity(table), acl_layout(table)
        words, ranges, record_size, values_at = layout.words, layout.ranges, layout.record_size, layout.values_at(size)
        gather = tuple(_gather(part) for part in layout.parts)
        addresses = {g.word + k for g in gather if g.how == "address" for k in (0, 1)}
        shared = tuple(word for word in range(words) if word not in addresses)
    elif table.kind == "automaton":
        states = capacity(table)
    elif table.kind == "consistent_hash":
        values_at = maglev.values_at(size)
    return TableView(
        prefix=prefix, name=name, kind=table.kind, map_id=ids[table.map], stats_id=ids[stats_map_name(table)] if has_stats(table) else 0,
        has_stats=int(has_stats(table)), filled_by_packets=int(table.filled_by == "packets"),
        evicts=int(table.when_full == "evict"), host=int(table.scope == "host"), size=size,
        key=_ctype(key, f"{prefix}_{name}_key"), value=_ctype(value, f"{prefix}_{name}_value"), constants=constants,
        buckets=tuple(table.buckets), words=words, shared=shared, ranges=ranges, record_size=record_size,
        values_at=values_at, slots=maglev.SLOTS,
        states=states, gather=gather, aliases=_aliases(table, name, constants), direct=direct_view(table, key, value),
    )  # fmt: skip


_ACCESSORS = {
    "exact": ("lookup",), "prefix": ("lookup",), "acl": ("match",), "connections": ("lookup", "touch", "delete"),
    "counter": ("add",), "histogram": ("record",), "consistent_hash": ("pick",),
    "automaton": ("cursor", "begin", "step", "payload", "rank"),
}  # fmt: skip


def _aliases(table: Table, name: str, constants: tuple[Constant, ...]) -> tuple[str, ...]:
    verbs = _ACCESSORS[table.kind]
    if table.kind == "exact" and table.filled_by == "packets":
        verbs = ("lookup", "update", "delete")
    return (f"{name}_key", f"{name}_value", *(f"{name}_{verb}" for verb in verbs), *(c.name for c in constants))


def _constants(value: Type) -> tuple[Constant, ...]:
    if not isinstance(value, Record):
        return ()
    return tuple(
        Constant(f"{name}_{choice}".upper(), number)
        for name, kind in value.fields
        if isinstance(kind, Enumeration)
        for number, choice in enumerate(kind.names)
    )


def _ctype(kind: Type, tag: str) -> CType:
    if not isinstance(kind, Record):
        if isinstance(kind, Bytes):
            kind = Record((("b", kind),))
        else:
            one = _cfield("", kind, 0)
            return CType(one.c, one.struct, kind.size, kind.align, ())
    fields = tuple(_cfield(name, type_, at) for (name, type_), at in zip(kind.fields, kind.offsets(), strict=True))
    return CType(tag, 1, kind.size, kind.align, fields)


def _cfield(name: str, kind: Type, offset: int) -> CField:
    if isinstance(kind, Record):
        raise TableError(f"field '{name}' is a record: fields of keys and values are scalars")
    tag = kind.c.removeprefix("struct ")
    return CField(name, tag, int(tag != kind.c), kind.size if isinstance(kind, Bytes) else 0, kind.align, offset)


def _gather(part: acl.Part) -> Gather:
    name = part.name.removeprefix("m.").replace(".", "_")
    metadata = int(part.name.startswith("m."))
    if part.name == "have":
        return Gather("have", name, 1, 0, part.word, part.shift)
    if part.field is None:  # the IP version that addresses imply
        return Gather("number", "ip_version", 1, 0, part.word, part.shift)
    how = {"prefix": "address", "mac": "mac", "port": "port", "be16": "port"}.get(part.field.type, "number")
    return Gather(how, name, metadata, int(part.range), part.word, part.shift)
