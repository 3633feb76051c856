"""Direct tables, read and written through memory that the programs share.

A change builds a whole table in the half that packets do not look at, and one 64-bit store turns them to it. Before a half is
written, every packet that may still look at it is through: also where the writer before was killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ebpfnf.errors import TableError
from ebpfnf.kernel import probe
from ebpfnf.kernel.maps import Map
from ebpfnf.model import Table
from ebpfnf.tables import acl, maglev
from ebpfnf.tables.direct import exact, prefix, rules, shape
from ebpfnf.tables.direct.place import FILLED, HEADER, SECOND, SECOND_SMALL, stagger
from ebpfnf.tables.layout import key_type, value_type


def is_direct(table: Table) -> bool:
    """Whether the table is addressed directly and filled by the operator."""
    return table.backing == "direct" and table.filled_by == "operator"


def read(table: Table, live: Map) -> dict[Any, Any]:
    """All rows: of a prefix or exact table encoded keys and values, of the others by number. TableError where it was never filled."""
    with _area(table, live) as area:
        state = area.filled()
        half, value = area.half(state), value_type(table)
        match table.kind:
            case "prefix":
                return dict(prefix.read(table, value.size, half))
            case "exact":
                return dict(exact.read(table, key_type(table).size, value.size, half))
            case "consistent_hash":
                return dict(maglev.decode_blob(table.size, value, bytes(half[: maglev.blob_size(table.size, value)])))
        small, alive = area.rules(state)
        found = {row.number: row for row in small}
        for number, (first, count) in rules.index(half).items() if table.slots else ():
            if _bit(alive, first):
                found[number] = area.row(half, number, first, count)
        return found


def read_rule(table: Table, live: Map, number: int) -> acl.Row | None:
    """One rule of an acl."""
    with _area(table, live) as area:
        state = area.filled()
        small, alive = area.rules(state)
        found = next((row for row in small if row.number == number), None)
        if found is None and table.slots and number in (places := rules.index(area.half(state))):
            first, count = places[number]
            found = area.row(area.half(state), number, first, count) if _bit(alive, first) else None
        return found


def write(table: Table, live: Map, rows: Mapping[Any, Any]) -> None:
    """Make these rows the table."""
    with _area(table, live) as area:
        state = area.state()
        after = (state ^ SECOND) & ~SECOND_SMALL | (state ^ SECOND_SMALL) & SECOND_SMALL | FILLED
        ordered = [row for _, row in sorted(rows.items())] if table.kind == "acl" else []
        large = ordered if table.slots else []
        data = _half(table, rows, large)
        if len(data) > table.room:
            raise TableError(f"table '{table.name}' is full: it needs {len(data)} bytes, it has {table.room}", cure="deploy again")
        small = area.small_part([] if large else ordered, (1 << sum(len(row.records) for row in large)) - 1) if table.kind == "acl" else b""
        area.turn(state, after, data, small)


def change_rule(table: Table, live: Map, number: int, row: acl.Row | None) -> bool:
    """Put a rule in the place of what has its number, or with None take that away: False where there was nothing.

    The large part stays as it is: its rule dies, the new one stands in the small part. Where that is full, all is made anew.
    """
    with _area(table, live) as area:
        state = area.filled()
        small, alive = area.rules(state)
        rest = [one for one in small if one.number != number]
        first, count = rules.index(area.half(state)).get(number, (0, 0)) if table.slots else (0, 0)
        there = len(rest) < len(small) or _bit(alive, first) if count else len(rest) < len(small)
        if row is not None:
            rest = sorted([*rest, row], key=lambda one: one.number)
        if row is None and not there:
            return False
        if not table.slots or sum(len(one.records) for one in rest) <= shape.small_records(table):
            area.turn(state, state ^ SECOND_SMALL, b"", area.small_part(rest, alive & ~((1 << count) - 1 << first)))
            return there
    rows = {one: content for one, content in read(table, live).items() if one != number}
    write(table, live, rows if row is None else {**rows, number: row})
    return there


def counts(table: Table, live: Map) -> list[bytes]:
    """The values of a counter or histogram, all of each CPU together (of the one that all share)."""
    value, at = value_type(table), stagger(table)
    data = live.lookup(bytes(4)) or b""
    return [data[start + at : start + at + table.size * value.size] for start in range(0, len(data), shape.slot(table, value))]


def zero(table: Table, live: Map, index: int) -> None:
    """Let a counter start again, on every CPU; each word is stored whole."""
    value, step = value_type(table), shape.slot(table, value_type(table))
    with _mapped(live) as memory:
        words = memory.cast("Q")
        for start in range(stagger(table) + index * value.size, live.value_size, step):
            for word in range(start // 8, start // 8 + value.size // 8):
                words[word] = 0
        words.release()


def _half(table: Table, rows: Mapping[Any, Any], large: Sequence[acl.Row]) -> bytes:
    value = value_type(table)
    match table.kind:
        case "prefix":
            return prefix.build(table, value.size, rows)
        case "exact":
            return exact.build(table, key_type(table).size, value.size, rows)
        case "consistent_hash":
            return maglev.encode_blob(table.size, value, rows)
    return rules.build(shape.acl_layout(table), table.slots, large) if table.slots else b""


def _bit(bits: int, place: int) -> bool:
    return bool(bits >> place & 1)


class _Area:
    """A direct table's memory."""

    def __init__(self, table: Table, memory: memoryview) -> None:
        self._table, self._value = table, value_type(table)
        self._memory = memory[stagger(table) :]
        self._small = shape.small_size(table, self._value)

    def state(self) -> int:
        """The word that says which half and which small part are live."""
        return int(self._memory[:8].cast("Q")[0])

    def filled(self) -> int:
        """The same of a table that has been filled."""
        state = self.state()
        if not state & FILLED:
            raise TableError(f"table '{self._table.name}' was never filled", cure="deploy again")
        return state

    def half(self, state: int) -> memoryview:
        """The live half."""
        start = shape.halves_at(self._table, self._value) + (self._table.room if state & SECOND else 0)
        return self._memory[start : start + self._table.room]

    def small(self, state: int) -> memoryview:
        """The live small part."""
        start = HEADER + (self._small if state & SECOND_SMALL else 0)
        return self._memory[start : start + self._small]

    def rules(self, state: int) -> tuple[list[acl.Row], int]:
        """The rules in the small part, and a bit for each record of the large one that counts."""
        layout, holds, data = shape.acl_layout(self._table), shape.small_records(self._table), bytes(self.small(state))
        alive_at = shape.alive_at(self._table, self._value)
        return acl.split(layout, self._value, holds, data), int.from_bytes(data[alive_at : alive_at + self._table.slots // 8], "little")

    def row(self, half: memoryview, number: int, first: int, count: int) -> acl.Row:
        """A rule of the large part."""
        return rules.row(shape.acl_layout(self._table), self._value.size, self._table.slots, half, number, first, count)

    def small_part(self, rows: Sequence[acl.Row], alive: int) -> bytes:
        """A small part of these rules."""
        blob = acl.join(shape.acl_layout(self._table), self._value, shape.small_records(self._table), rows)
        return blob.ljust(shape.alive_at(self._table, self._value), b"\0") + alive.to_bytes(self._table.slots // 8, "little")

    def turn(self, before: int, after: int, half: bytes, small: bytes) -> None:
        """Write what packets do not look at, then turn them to it."""
        if before & FILLED:
            probe.grace()
        self.half(after)[: len(half)] = half
        self.small(after)[: len(small)] = small
        self._memory[:8].cast("Q")[0] = after  # one store; x86 shows it after those before


@contextmanager
def _area(table: Table, live: Map) -> Iterator[_Area]:
    with _mapped(live) as memory:
        yield _Area(table, memory)


@contextmanager
def _mapped(live: Map) -> Iterator[memoryview]:
    """The map's memory. It is unmapped when the last view of it is gone."""
    yield memoryview(live.mmap())
