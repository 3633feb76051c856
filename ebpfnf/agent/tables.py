"""Tables in their text form: fill, read, change while packets run. Keys are text, values JSON's types.

An entry changes as a whole: a packet sees it as it was or as it is. Rules and consistent hashing are one blob each, made anew
beside the live one and swapped in; who changes those holds the deployment's lock.
"""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ebpfnf.agent import direct, sets
from ebpfnf.errors import TableError
from ebpfnf.kernel import maps
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.syscall import BpfError
from ebpfnf.model import Table
from ebpfnf.tables import acl, maglev
from ebpfnf.tables.automaton import blob as automaton
from ebpfnf.tables.direct.shape import acl_layout
from ebpfnf.tables.layout import STATS, acl_rule, capacity, capacity_of, decode_key, encode_key, key_type, value_type
from ebpfnf.tables.text import bucket_labels, key_text, parse_key
from ebpfnf.tables.types import Record, Type

_ZERO = bytes(4)
BLOBS = ("acl", "consistent_hash", "automaton")
COUNTS = ("counter", "histogram")
_SHOWN = 3  # differences that are named


def fill(table: Table, live: Map | int, entries: Iterable[tuple[str, Any]]) -> None:
    """Write all entries into a table that is new and empty. `live` is its map, or the fd of it."""
    with opened(live) as target:
        wanted = _canonical(table, entries)
        if table.kind not in BLOBS and len(wanted) > table.size:
            raise TableError(f"table '{table.name}': {len(wanted)} entries, it holds {table.size}")
        if _whole(table):
            rows = {_row_key(table, key): _row(table, key, value) for key, value in wanted.items()}
            _swap(table, target, 0 if table.backing == "direct" else capacity(table), rows)
            return
        _changeable(table)
        kind = value_type(table)
        with _refusals(table, "entries"):
            target.update_many((encode_key(table, key), kind.encode(value)) for key, value in wanted.items())


def get(table: Table, live: Map, key: Any) -> Any:
    """The value of `key`; None where there is none. Counters are summed over the CPUs."""
    if table.kind == "acl":
        number = _key(table, key)
        rule = direct.read_rule(table, live, number) if direct.is_direct(table) else acl.find(*_rules(table, live), number)
        return None if rule is None else _content(table, rule)
    if _whole(table):
        row = _blob(table, live)[1].get(_row_key(table, _key(table, key)))
        return None if row is None else _content(table, row)
    if table.kind in COUNTS:
        return sums(table, live)[_index(table, key)]
    wanted = encode_key(table, _key(table, key))
    data = sets.get(table, live, wanted) if sets.is_shared(table) else live.lookup(wanted)
    return None if data is None else value_type(table).decode(data)


def set(table: Table, live: Map, key: Any, value: Any, stats: Map | None = None) -> None:  # the verb of `ebpfnf table`
    """Add or overwrite an entry. Of an acl the key is a rule's number: packets try rules in that order."""
    ((wanted, content),) = _canonical(table, [(key, value)]).items()
    if table.kind == "acl":
        _change_rule(table, live, wanted, _row(table, wanted, content))
        return
    if _whole(table):
        size, rows = _blob(table, live)
        rows = {**rows, _row_key(table, wanted): _row(table, wanted, content)}
        if table.kind not in BLOBS and len(rows) > table.size:
            raise _full(table, repr(key))
        _swap(table, live, size, rows)
        return
    _changeable(table)
    data = encode_key(table, wanted)
    if sets.is_shared(table):
        if sets.put(table, live, data, value_type(table).encode(content)):
            note(stats, "created")
        return
    with _refusals(table, repr(key)):
        if live.lookup(data) is None:
            note(stats, "created")
        live.update(data, value_type(table).encode(content))


def delete(table: Table, live: Map, key: Any, stats: Map | None = None) -> bool:
    """Remove an entry; False where there was none. A counter starts again at zero."""
    wanted = _key(table, key)
    if table.kind == "acl":
        return _change_rule(table, live, wanted, None)
    if _whole(table):
        size, rows = _blob(table, live)
        gone = _row_key(table, wanted)
        if gone in rows:
            _swap(table, live, size, {number: row for number, row in rows.items() if number != gone})
        return gone in rows
    if table.kind in COUNTS and table.backing == "direct":
        direct.zero(table, live, _index(table, key))
        return True
    if table.kind in COUNTS:
        index, zero = struct.pack("=I", _index(table, key)), bytes(value_type(table).size)
        live.update(index, [zero] * len(live.lookup_percpu(index) or ()) if live.per_cpu else zero)
        return True
    data = encode_key(table, wanted)
    removed = sets.delete(table, live, data) if sets.is_shared(table) else live.delete(data)
    if removed:
        note(stats, "deleted")
    return removed


def dump(table: Table, live: Map) -> Iterator[tuple[str, Any]]:
    """All entries as (key, value). Of counters those that counted, of a histogram each bucket with its bounds as key."""
    kind = key_type(table)
    if table.kind in BLOBS:
        yield from ((str(number), _content(table, row)) for number, row in sorted(_blob(table, live)[1].items()))
    elif table.kind == "histogram":
        yield from zip(bucket_labels(table.buckets), sums(table, live), strict=True)
    elif table.kind == "counter":
        for index, value in enumerate(sums(table, live)):
            if any(value.values()) if isinstance(value, dict) else value:
                yield str(index), value
    else:
        values = value_type(table)
        for encoded, data in raw(table, live):
            yield key_text(kind, decode_key(table, encoded)), values.decode(data)


def raw(table: Table, live: Map) -> Iterable[tuple[bytes, bytes]]:
    """Encoded keys and values of a table that is neither counted nor one value."""
    if sets.is_shared(table):
        return sets.rows(table, live)
    return direct.read(table, live).items() if direct.is_direct(table) else live.items()


def diff(table: Table, live: Map, entries: Iterable[tuple[str, Any]]) -> str:
    """How the live entries differ from `entries`, in words; empty where they don't."""
    kind = key_type(table)
    there = {key: value for key, value in dump(table, live)}
    wanted = _canonical(table, entries)
    if table.kind in BLOBS:  # to bits and back, so that both are in their normal spelling
        wanted = {key: _content(table, _row(table, key, value)) for key, value in wanted.items()}
    said = {key_text(kind, key): value for key, value in wanted.items()}
    words = [f"'{key}' is live only" for key in there if key not in said]
    words += [f"'{key}' is in the file only" if key not in there else f"'{key}' differs" for key in said if there.get(key) != said[key]]
    more = f", and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more


def statistics(table: Table, live: Map, stats: Map) -> dict[str, int]:
    """What became of the entries that packets made: created, full (could not be), deleted, present, evicted."""
    sums = dict.fromkeys(STATS, 0)
    for entry in range(2):
        for one in stats.lookup_percpu(struct.pack("=I", entry)) or ():
            for name, number in zip(STATS, struct.unpack("=3Q", one), strict=True):
                sums[name] += number
    present = sets.present(table, live) if sets.is_shared(table) else live.count()
    return {**sums, "present": present, "evicted": max(0, sums["created"] - sums["deleted"] - present)}


# ---------------------------------------------------------------- text and canonical values


def _key(table: Table, key: Any) -> Any:
    try:
        parsed = parse_key(key_type(table), key)
        if table.kind in ("consistent_hash", "automaton") and not 1 <= parsed <= table.size:
            raise ValueError(f"a number from 1 to {table.size}")
    except ValueError as error:
        raise TableError(f"table '{table.name}': key {_shown(key)}: wanted {error}") from None
    return parsed


def _value(table: Table, key: Any, value: Any) -> Any:
    kind = value_type(table)
    try:
        if table.kind != "acl":
            return kind.parse(value)
        _, rest = acl_rule(value)
        content = kind.parse(rest if isinstance(kind, Record) else rest.pop("value", None))
        if not isinstance(kind, Record) and rest:
            raise ValueError("a rule with match and value")
    except (ValueError, TableError) as error:
        raise TableError(f"table '{table.name}': value of {_shown(key)}: wanted {error}") from None
    extra = {name: value[name] for name in ("require", "exclude") if value.get(name)}
    return {"match": value["match"], **extra, **(content if isinstance(kind, Record) else {"value": content})}


def _canonical(table: Table, entries: Iterable[tuple[str, Any]]) -> dict[Any, Any]:
    """Entries by canonical key; for records as keys by their text."""
    result: dict[Any, Any] = {}
    for key, value in entries:
        parsed = _key(table, key)
        result[_Row(parsed) if isinstance(parsed, dict) else parsed] = _value(table, key, value)
    return result


class _Row(dict[str, Any]):
    """A record as a key of a dictionary."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))


def _shown(key: Any) -> str:
    text = key if isinstance(key, str) else json.dumps(key)
    return f"'{text[:80]}'"


def _index(table: Table, key: Any) -> int:
    labels = bucket_labels(table.buckets)
    if table.kind == "histogram" and key in labels:
        return labels.index(key)
    index = int(_key(table, key))
    if index >= table.size:
        raise TableError(f"table '{table.name}': key {_shown(key)}: wanted a number from 0 to {table.size - 1}")
    return index


def _changeable(table: Table) -> None:
    if table.kind in COUNTS:
        raise TableError(f"table '{table.name}' is counted by packets", cure="delete an entry to start again at zero")


# ---------------------------------------------------------------- maps


def sums(table: Table, live: Map) -> list[Any]:
    """All values of an array, summed over the CPUs."""
    kind = value_type(table)
    if table.backing == "direct":
        shape = struct.Struct(f"={table.size * kind.size // 8}Q")
        sums64 = [sum(column) & (1 << 64) - 1 for column in zip(*map(shape.unpack, direct.counts(table, live)), strict=True)]
        data = shape.pack(*sums64)
        return [kind.decode(data[at : at + kind.size]) for at in range(0, len(data), kind.size)]
    rows = live.items_percpu() if live.per_cpu else ((key, [value]) for key, value in live.items())
    sums: list[Any] = [None] * live.max_entries
    for key, values in rows:
        total = [sum(column) & (1 << 64) - 1 for column in zip(*(struct.unpack(f"={kind.size // 8}Q", one) for one in values), strict=True)]
        sums[struct.unpack("=I", key)[0]] = kind.decode(struct.pack(f"={len(total)}Q", *total))
    return sums


def note(stats: Map | None, what: str, number: int = 1) -> None:
    """Note an entry made or removed by hand, in the entry of the statistics that packets leave alone."""
    if stats is not None:
        index = struct.pack("=I", 1)
        slots = stats.lookup_percpu(index) or []
        numbers = list(struct.unpack("=3Q", slots[0]))
        numbers[STATS.index(what)] += number
        stats.update(index, [struct.pack("=3Q", *numbers), *slots[1:]])


# ---------------------------------------------------------------- blobs, by number: rows of an acl, values of a consistent hash


def _blob(table: Table, outer: Map) -> tuple[int, dict[int, Any]]:
    """The capacity of the live blob, and its rows."""
    if table.backing == "direct":
        return 0, direct.read(table, outer)
    if table.kind == "acl":
        found = _rules(table, outer)
        return found[2], {row.number: row for row in acl.split(*found)}
    data = _live(table, outer)
    size = capacity_of(table, len(data))
    if table.kind == "automaton":
        return size, automaton.decode_blob(size, data)
    return size, maglev.decode_blob(size, value_type(table), data)


def _live(table: Table, outer: Map) -> bytes:
    with Map(maps.open_id(blob_id(table, outer))) as inner:
        return inner.lookup(_ZERO) or b""


def _change_rule(table: Table, live: Map, number: int, row: acl.Row | None) -> bool:
    """Put a rule in the place of what has its number, or with None take that away: False where there was nothing."""
    with _named(table):
        if direct.is_direct(table):
            return direct.change_rule(table, live, number, row)
        found = _rules(table, live)
        there = acl.find(*found, number) is not None
        if there or row is not None:
            _put(table, live, acl.changed(*found, number, row))
        return there


def _rules(table: Table, outer: Map) -> tuple[acl.Layout, Type, int, bytes]:
    """The live blob of an acl, and how it lies."""
    data = _live(table, outer)
    return acl_layout(table), value_type(table), capacity_of(table, len(data)), data


def blob_id(table: Table, outer: Map) -> int:
    """The id of the map that holds a table which is one value; TableError where it was never filled."""
    number = outer.lookup(_ZERO)
    if number is None:
        raise TableError(f"table '{table.name}' was never filled", cure="deploy again")
    return int(struct.unpack("=I", number)[0])


def _swap(table: Table, outer: Map, size: int, rows: Mapping[int, Any]) -> None:
    """Make a blob of these rows the live one."""
    if table.backing == "direct":
        with _named(table):
            direct.write(table, outer, rows)
        return
    kind = value_type(table)
    try:
        if table.kind == "automaton":
            blob = automaton.encode_blob(size, rows)
        elif table.kind == "consistent_hash":
            blob = maglev.encode_blob(size, kind, rows)
        else:
            blob = acl.join(acl_layout(table), kind, size, [row for _, row in sorted(rows.items())])
    except TableError as error:
        raise TableError(f"table '{table.name}': {error.what}", cure=error.cure) from None
    _put(table, outer, blob)


def _put(table: Table, outer: Map, blob: bytes) -> None:
    with Map(maps.create("array", 4, len(blob), 1, name=table.name.rpartition(".")[2])) as inner:
        inner.update(_ZERO, blob)
        outer.update(_ZERO, struct.pack("=I", inner.fd))


def _whole(table: Table) -> bool:
    """Whether a change replaces the table as a whole."""
    return table.kind in BLOBS or direct.is_direct(table)


def _row_key(table: Table, key: Any) -> Any:
    """A canonical key as rows have it: a number, or encoded."""
    return key if table.kind in BLOBS else encode_key(table, key)


def _row(table: Table, number: int, entry: Any) -> Any:
    """A canonical entry as what a blob is made of."""
    if table.kind in ("consistent_hash", "automaton"):
        return entry
    kind = value_type(table)
    if table.kind != "acl":
        return kind.encode(entry)
    rule, rest = acl_rule(entry)
    try:
        return acl.make_row(acl_layout(table), kind, number, rule, rest if isinstance(kind, Record) else rest["value"])
    except TableError as error:
        raise TableError(f"table '{table.name}': {error.what}", cure=error.cure) from None


def _content(table: Table, row: Any) -> Any:
    """The entry that a row was made of, in its normal spelling."""
    if table.kind in ("consistent_hash", "automaton"):
        return row
    kind = value_type(table)
    if table.kind != "acl":
        return kind.decode(row)
    rule, value = acl.read_row(acl_layout(table), kind, row)
    extra = {name: bits for name, bits in (("require", rule.require), ("exclude", rule.exclude)) if bits}
    return {"match": dict(rule.match), **extra, **(value if isinstance(kind, Record) else {"value": value})}


@contextmanager
def opened(live: Map | int) -> Iterator[Map]:
    """A map, or the map of an fd, which stays open."""
    if isinstance(live, Map):
        yield live
        return
    with Map(os.dup(live)) as opened:
        yield opened


@contextmanager
def _named(table: Table) -> Iterator[None]:
    """Names the table in what the layers below say of rules."""
    try:
        yield
    except TableError as error:
        raise error if table.name in error.what else TableError(f"table '{table.name}': {error.what}", cure=error.cure) from None


def _full(table: Table, what: str) -> TableError:
    return TableError(f"table '{table.name}' is full: no room for {what}, it holds {table.size}")


@contextmanager
def _refusals(table: Table, what: str) -> Iterator[None]:
    try:
        yield
    except BpfError as error:
        if error.errno in (errno.E2BIG, errno.ENOSPC):
            raise _full(table, what) from None
        raise
