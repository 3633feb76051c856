"""Direct tables, read and written through memory that the programs share.

A change builds what is new where no packet looks, and one 64-bit store turns packets to it. It returns then: the grace period, after
which no packet can be looking at what they were turned from, ends later and is noted in the header. Whoever changes the table next
waits for it only where that is not noted: because it is too early, or because the writer before was killed.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ebpfnf.errors import TableError
from ebpfnf.kernel import probe
from ebpfnf.kernel.maps import Map
from ebpfnf.model import Table
from ebpfnf.tables import acl, maglev
from ebpfnf.tables.direct import exact, prefix, rules, shape
from ebpfnf.tables.direct.place import FILLED, HEADER, MADE, SECOND, SECOND_SMALL, SETTLED, TURN, stagger
from ebpfnf.tables.direct.rules import Place
from ebpfnf.tables.layout import key_type, value_type
from ebpfnf.tables.types import Type

T = TypeVar("T")
_TRIES = 100
_PIECE = 1 << 20


def is_direct(table: Table) -> bool:
    """Whether the table is addressed directly and filled by the operator."""
    return table.backing == "direct" and table.filled_by == "operator"


def read(table: Table, live: Map) -> dict[Any, Any]:
    """All rows: of a prefix or exact table encoded keys and values, of the others by number. TableError where it was never filled."""
    return Area(table, live).steady(_rows)


def read_rule(table: Table, live: Map, number: int) -> acl.Row | None:
    """One rule of an acl."""

    def find(area: Area, state: int, part: bytes) -> acl.Row | None:
        found = area.rule(part, number)
        if found is None and table.slots:
            place = area.place(state, number)
            found = area.rows(area.half(state), {number: place})[number] if place.among(area.alive(part)) else None
        return found

    return Area(table, live).steady(find)


def write(table: Table, live: Map, rows: Mapping[Any, Any]) -> None:
    """Make these rows the table."""
    area = Area(table, live)
    ordered = [row for _, row in sorted(rows.items())] if table.kind == "acl" else []
    large = ordered if table.slots else []
    small = b""
    if table.kind == "acl":
        small = area.small_part([] if large else ordered, rules.terms_of(rules.places(shape.acl_layout(table), large)))
    area.turn(area.state(), half(table, rows, large), small)


def change_rule(table: Table, live: Map, number: int, row: acl.Row | None) -> bool:
    """Put a rule in the place of what has its number, or with None take that away: False where there was nothing.

    The large part stays as it is: its rule dies, the new one stands in the small part. Where that is full, all is made anew.
    """
    area = Area(table, live)
    state = area.filled()
    part = area.small(state)
    place, alive = area.place(state, number) if table.slots else Place(), area.alive(part)
    there = area.rule(part, number) is not None or place.among(alive)
    if row is None and not there:
        return False
    try:
        small = area.changed(part, number, row, alive & ~place.bits)
    except TableError:
        if not table.slots:
            raise
    else:
        area.turn(state, None, small)
        return there
    rows = {one: content for one, content in _rows(area, state, part).items() if one != number}
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
    words = live.memory(0, live.value_size).cast("Q")
    for start in range(stagger(table) + index * value.size, live.value_size, step):
        for word in range(start // 8, start // 8 + value.size // 8):
            words[word] = 0


def half(table: Table, rows: Mapping[Any, Any], large: Sequence[acl.Row]) -> bytes:
    """The bytes of a half; of an acl those of its large part. TableError where the table is full."""
    value = value_type(table)
    match table.kind:
        case "prefix":
            data = prefix.build(table, value.size, rows)
        case "exact":
            data = exact.build(table, key_type(table).size, value.size, rows)
        case "consistent_hash":
            data = maglev.encode_blob(table.size, value, rows)
        case _:
            data = rules.build(shape.acl_layout(table), table.slots, large) if table.slots else b""
    if len(data) > table.room:
        raise TableError(f"table '{table.name}' is full: it needs {len(data)} bytes, it has {table.room}", cure="deploy again")
    return data


def _rows(area: Area, state: int, part: bytes) -> dict[Any, Any]:
    table, value = area.table, value_type(area.table)
    match table.kind:
        case "prefix":
            return dict(prefix.read(table, value.size, area.half(state)))
        case "exact":
            return dict(exact.read(table, key_type(table).size, value.size, area.half(state)))
        case "consistent_hash":
            return dict(maglev.decode_blob(table.size, value, bytes(area.half(state)[: maglev.blob_size(table.size, value)])))
    return {**area.large(state, area.alive(part)), **{row.number: row for row in area.rules(part)}}


class Area:
    """A direct table's memory; of it that is mapped which is looked at."""

    def __init__(self, table: Table, live: Map) -> None:
        self.table, self._live, self._value, self._at = table, live, value_type(table), stagger(table)
        self._small = shape.small_size(table, self._value)
        self._memory = live.memory(self._at, self._at + shape.halves_at(table, self._value))
        self._words = self._memory[:HEADER].cast("Q")

    def state(self) -> int:
        """The word that says which half and which small part are live, and how often that changed."""
        return int(self._words[0])

    def settled(self) -> int:
        """The last state after which every packet is known to see the live parts only."""
        return int(self._words[SETTLED])

    def made(self) -> int:
        """How often a half was written."""
        return int(self._words[MADE])

    def filled(self) -> int:
        """The state of a table that has been filled."""
        state = self.state()
        if not state & FILLED:
            raise TableError(f"table '{self.table.name}' was never filled", cure="deploy again")
        return state

    def steady(self, look: Callable[[Area, int, bytes], T]) -> T:
        """What `look` makes of the live half of a state and of its small part: again where a writer wrote a half meanwhile."""
        for _ in range(_TRIES):
            made, state = self.made(), self.filled()
            small = self.small(state)
            if self.state() == state:
                found = look(self, state, small)
                if self.made() == made:
                    return found
        raise TableError(f"table '{self.table.name}' is changed all the time", cure="try again")

    def half(self, state: int, start: int = 0, end: int = 0) -> memoryview:
        """The live half, or some of its bytes."""
        at = self._at + shape.halves_at(self.table, self._value) + (self.table.room if state & SECOND else 0)
        return self._live.memory(at + start, at + (end or self.table.room))

    def small(self, state: int) -> bytes:
        """The live small part."""
        return bytes(self._small_memory(state))

    def alive(self, part: bytes) -> int:
        """A bit for each term of the large part that counts, as a small part says."""
        at = shape.alive_at(self.table, self._value)
        return int.from_bytes(part[at : at + self.table.slots // 8], "little")

    def rules(self, part: bytes) -> list[acl.Row]:
        """The rules in a small part."""
        return acl.split(*self._form(), part)

    def rule(self, part: bytes, number: int) -> acl.Row | None:
        """The rule of this number in a small part."""
        return acl.find(*self._form(), part, number)

    def large(self, state: int, alive: int) -> dict[int, acl.Row]:
        """The rules of the large part that count."""
        if not self.table.slots:
            return {}
        half = self.half(state)
        return self.rows(half, {number: place for number, place in rules.index(half).items() if place.among(alive)})

    def place(self, state: int, number: int) -> Place:
        """Where in the large part a rule stands."""
        start, end = rules.index_at(self.half(state, 0, HEADER))
        return rules.find(self.half(state, start, end), number) if start < end else Place()

    def rows(self, half: memoryview, places: Mapping[int, Place]) -> dict[int, acl.Row]:
        """Rules of the large part."""
        return rules.rows(shape.acl_layout(self.table), self._value.size, self.table.slots, half, places)

    def packed(self, part: bytes) -> list[acl.Packed]:
        """The rules in a small part, as they lie there."""
        return acl.apart(*self._form(), part)

    def small_part(self, rows: Sequence[acl.Row], alive: int) -> bytes:
        """A small part of these rules."""
        return self._with(acl.join(*self._form(), rows), alive)

    def small_part_of(self, rows: Sequence[acl.Packed], alive: int) -> bytes:
        """The same of rules that lie in one."""
        return self._with(acl.together(*self._form(), rows), alive)

    def changed(self, part: bytes, number: int, row: acl.Row | None, alive: int) -> bytes:
        """A small part with another rule of this number, or without; TableError where it has no room."""
        return self._with(acl.changed(*self._form(), part, number, row), alive)

    def _form(self) -> tuple[acl.Layout, Type, int]:
        """Of the rules in a small part."""
        return shape.acl_layout(self.table), self._value, shape.small_records(self.table)

    def _with(self, blob: bytes, alive: int) -> bytes:
        return blob.ljust(shape.alive_at(self.table, self._value), b"\0") + alive.to_bytes(self.table.slots // 8, "little")

    def untouched(self, state: int, made: int) -> bool:
        """Whether the halves are as they were then: none written, and the same one live."""
        return self.made() == made and not (self.state() ^ state) & SECOND

    def lay(self, state: int, piece: bytes, at: int) -> int:
        """Write a piece of the half that is not live, at which no packet has looked for a grace period; the new `made`."""
        if not at:
            self._words[MADE] += 1
        self.half(state ^ SECOND, at, at + len(piece))[:] = piece
        return self.made()

    def turn(self, before: int, half: bytes | None, small: bytes) -> None:
        """Write what packets do not look at, then turn them to it. Without a new half (None) the live one stays; an empty one was laid."""
        after = (before ^ (SECOND_SMALL if half is None else SECOND | SECOND_SMALL) | FILLED) + TURN
        self._settled(before)
        if half:
            self.lay(before, half, 0)
        self._small_memory(after)[: len(small)] = small
        self._words[0] = after  # one store; x86 shows it after those before
        if before & FILLED:
            _thread.start_new_thread(_settle, (self._words, after))  # `threading` would wait until it runs
        else:  # what looks into a table runs after it was filled
            self._words[SETTLED] = after

    def take(self, other: Area) -> None:
        """Become what another table of the same layout is; this one is new, no packet looks into it."""
        state = other.filled()
        for start in range(0, self.table.room, _PIECE):
            end = min(start + _PIECE, self.table.room)
            piece = other.half(state, start, end)
            if piece != bytes(end - start):  # what was never written needs no page of ours
                self.half(state, start, end)[:] = piece
        self._small_memory(state)[:] = other.small(state)
        self._words[MADE] += 1
        self._words[SETTLED] = self._words[0] = state

    def _settled(self, state: int) -> None:
        if state & FILLED and self.settled() != state:
            _settle(self._words, state)

    def _small_memory(self, state: int) -> memoryview:
        start = HEADER + (self._small if state & SECOND_SMALL else 0)
        return self._memory[start : start + self._small]


def _settle(words: memoryview, state: int) -> None:
    """Note that no packet sees any more what was live before `state`. Once the table has changed again the note says nothing."""
    probe.grace()
    words[SETTLED] = state
