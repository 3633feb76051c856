"""Direct tables that packets fill, as the agent reads and changes them: it claims entries as a CPU does.

Such a table has tens of megabytes: its states are read piece by piece, and of its entries no more is mapped than is looked at.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator

from ebpfnf.errors import TableError
from ebpfnf.kernel import atomic
from ebpfnf.kernel.maps import Map
from ebpfnf.model import Table
from ebpfnf.tables.direct.place import HEADER, stagger, up
from ebpfnf.tables.direct.sets import BUSY, BY_HAND, VALID, WAYS, entries_at, homes, sets, stride
from ebpfnf.tables.layout import key_type, value_type

_TIME = 0xFFFF << 16  # of a state: when it was last found
_TICK = 6  # bits of jiffies64 that it leaves out
_PIECE = 4096  # states that are read at once
_TRIES = 16


def is_shared(table: Table) -> bool:
    """Whether the table is addressed directly and filled by packets of all CPUs."""
    return table.backing == "direct" and table.filled_by == "packets" and table.kind in ("exact", "connections")


def rows(table: Table, live: Map) -> Iterator[tuple[bytes, bytes]]:
    """Encoded keys and values of all entries; one that is given away while it is read is left out."""
    area = _Sets(table, live)
    for first, words in area.pieces():
        if not any(words):
            continue
        entries = area.entries(first, len(words))
        for way, state in enumerate(words):
            if state & VALID:
                found = area.content(entries[way * area.step : (way + 1) * area.step])
                if not (area.states[first + way] ^ state) & ~_TIME:
                    yield found


def get(table: Table, live: Map, key: bytes) -> bytes | None:
    """The value of a key."""
    area = _Sets(table, live)
    slot = area.find(key)
    return None if slot is None else area.entry(slot)[1]


def put(table: Table, live: Map, key: bytes, value: bytes) -> bool:
    """Write an entry, True where it is new. What is there is overwritten in place, field by field, as packets do."""
    area = _Sets(table, live)
    area.seed()
    slot = area.find(key)
    if slot is not None:
        area.write(slot, key, value)
        return False
    area.free_stale()
    tag, slots = area.homes(key)
    for slot in slots:
        if not area.states[slot] and area.swap(slot, 0, tag << 32 | BUSY | BY_HAND):
            area.write(slot, key, value)
            area.swap(slot, tag << 32 | BUSY | BY_HAND, tag << 32 | VALID | (atomic.jiffies() >> _TICK & 0xFFFF) << 16)
            area.alone(key, slot)
            return True
    raise TableError(f"table '{table.name}' is full: no room for this key, its two sets hold {2 * WAYS}")


def fill(table: Table, live: Map, entries: Iterable[tuple[bytes, bytes]]) -> int:
    """Make these the entries of a table that no packet looks into; how many found a place."""
    area = _Sets(table, live)
    area.clear()
    area.seed()
    now, placed = (atomic.jiffies() >> _TICK & 0xFFFF) << 16 | VALID, 0
    for key, value in entries:
        tag, slots = area.homes(key)
        one, two = ([slot for slot in home if not area.states[slot]] for home in (slots[:WAYS], slots[WAYS:]))
        free = two if len(two) > len(one) else one
        if free:
            area.write(free[0], key, value)
            area.states[free[0]] = tag << 32 | now
            placed += 1
    return placed


def delete(table: Table, live: Map, key: bytes) -> bool:
    """Remove an entry; False where there was none."""
    area = _Sets(table, live)
    for _ in range(_TRIES):
        slot = area.find(key)
        if slot is None:
            return False
        state = area.states[slot]
        if state & VALID and area.entry(slot)[0] == key and area.swap(slot, state, 0):
            return True
    raise TableError(f"table '{table.name}': the entry is in use by too many packets", cure="try again")


def present(table: Table, live: Map) -> int:
    """How many entries there are: the lowest bits of all states, those of a piece counted as one number's."""
    return sum(bits.bit_count() for _, bits in _Sets(table, live).marked(VALID))


class _Sets:
    """The memory of such a table: `states` is a word for each slot."""

    def __init__(self, table: Table, live: Map) -> None:
        self._table, self._live, self._at = table, live, stagger(table)
        self._key, self._value = key_type(table).size, value_type(table).size
        self.step = stride(self._key, self._value)
        self._head = live.memory(self._at, self._at + HEADER + 8 * WAYS * sets(table.size))
        self.states = self._head[HEADER:].cast("Q")

    def pieces(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """First slot and words of one piece after the other."""
        for first in range(0, len(self.states), _PIECE):
            piece = bytes(self.states[first : first + _PIECE])
            yield first, struct.unpack(f"={len(piece) // 8}Q", piece)

    def marked(self, mark: int) -> Iterator[tuple[int, int]]:
        """First slot of each piece, and its states as one number of which that bit of each state is left."""
        mask = int.from_bytes(mark.to_bytes(8, "little") * _PIECE, "little")
        for first in range(0, len(self.states), _PIECE):
            yield first, int.from_bytes(self.states[first : first + _PIECE], "little") & mask

    def entries(self, slot: int, count: int) -> memoryview:
        """The memory of entries that follow each other."""
        at = self._at + entries_at(self._table) + slot * self.step
        return self._live.memory(at, at + count * self.step)

    def content(self, entry: memoryview) -> tuple[bytes, bytes]:
        """Key and value in an entry's memory."""
        at = up(self._key, 8)
        return bytes(entry[: self._key]), bytes(entry[at : at + self._value])

    def entry(self, slot: int) -> tuple[bytes, bytes]:
        """Key and value at a slot."""
        return self.content(self.entries(slot, 1))

    def write(self, slot: int, key: bytes, value: bytes) -> None:
        """Key and value to a slot; a key that is there stays the same bytes."""
        data = key.ljust(up(len(key), 8), b"\0") + value
        self.entries(slot, 1)[: len(data)] = data

    def homes(self, key: bytes) -> tuple[int, list[int]]:
        """The hash bits in a key's state, and the slots where it may be."""
        one, two, tag = homes(self._table, key.ljust(up(len(key), 8), b"\0"), self._head[:8].cast("Q")[0])
        return tag, [*range(WAYS * one, WAYS * (one + 1)), *range(WAYS * two, WAYS * (two + 1))]

    def find(self, key: bytes) -> int | None:
        """The slot that holds a key."""
        tag, slots = self.homes(key)
        return next((slot for slot in slots if self._holds(slot, tag, key)), None)

    def alone(self, key: bytes, mine: int) -> None:
        """Where a packet made the same entry meanwhile, the one at the higher slot goes."""
        tag, slots = self.homes(key)
        other = next((slot for slot in slots if slot != mine and self._holds(slot, tag, key)), None)
        if other is not None:
            higher = max(other, mine)
            self.swap(higher, self.states[higher], 0)

    def clear(self) -> None:
        """No entries any more."""
        self._head[HEADER:] = bytes(len(self._head) - HEADER)

    def seed(self) -> None:
        """Drawn now where no packet was here yet."""
        if not self._head[:8].cast("Q")[0]:
            atomic.compare_and_swap(self._live.fd, self._at, 0, int.from_bytes(os.urandom(8), "little") | 1)

    def free_stale(self) -> None:
        """What an agent had claimed that was killed: writers hold the deployment's lock."""
        for first, bits in self.marked(BY_HAND):
            while bits:
                low = bits & -bits
                slot = first + (low.bit_length() - 1) // 64
                self.swap(slot, self.states[slot], 0)
                bits ^= low

    def swap(self, slot: int, expected: int, wanted: int) -> bool:
        """Change a state if it is as expected, as one step."""
        return atomic.compare_and_swap(self._live.fd, self._at + HEADER + 8 * slot, expected, wanted)

    def _holds(self, slot: int, tag: int, key: bytes) -> bool:
        state = self.states[slot]
        return bool(state & VALID) and state >> 32 == tag and self.entry(slot)[0] == key
