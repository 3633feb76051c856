"""Many rules in a half, by decomposition: each dimension (an address, a port, the protocol, ...) leads from the packet's value to a vector
with a bit for each record that it fits; the lowest bit that all vectors have is the first match. A vector begins with aggregates, a bit
for each of its words that is not zero, so that few words are looked at (Baboescu and Varghese, SIGCOMM 2001).

    u32 rows, records, index, source, idle; tables and roots of the dimensions; u32 order[slots]; then, in any order: vectors, nodes and
    tails of tries, cells {u64 number; value}, the index {u32 number, first record, records}, the records as acl encodes them

`idle` has a bit for each dimension that no record names. Where there are 64 records at most a vector is one word without aggregates,
which stands in the tables itself, and `order` is sorted by what a record's bit times DE_BRUIJN has in its six highest bits.

A rule that was changed live stands in the small part, whose records are compared one by one; its old records are dead there.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from ebpfnf.errors import TableError
from ebpfnf.tables import acl
from ebpfnf.tables.direct.place import LINE, Space, up
from ebpfnf.tables.direct.trie import V4, V6, plant, root_bits

LARGEST = 16384  # records
FEW = 24  # up to so many records are compared one by one
CHANGED = 384  # records of the small part where there is a large one
FOLDED = 32  # above so many of them the agent begins to make the large part anew, while changes go on
ONE_WORD = 64  # slots of a table whose vectors are one word
DE_BRUIJN = 0x03F79D71B4CB0A89  # as in direct.h
_HAVE_BITS = 9  # bits of match.HAVE
_MAPPED = 0xFFFF


@dataclass(frozen=True, slots=True)
class Dimension:
    """Which bits of a record, and the table or the roots at `at` that lead from them to vectors."""

    part: acl.Part
    wide: bool  # an address or a MAC: a trie
    bits: int  # else a cell for each of 1 << bits values
    at: int

    @property
    def mac(self) -> bool:
        return self.part.field is not None and self.part.field.type == "mac"

    @property
    def range(self) -> bool:
        return self.part.field is not None and self.part.field.match == "range"

    @property
    def word(self) -> int:
        return self.part.word

    @property
    def shift(self) -> int:
        return self.part.shift


def fits(layout: acl.Layout) -> bool:
    """Whether every field has a dimension: one of 32 bits has not."""
    return all(part.bits <= 16 or (part.field is not None and part.field.words) for part in layout.parts)


def dims(layout: acl.Layout, slots: int) -> tuple[Dimension, ...]:
    """The dimensions of such records, each with its place in the half."""
    found, at = [], LINE
    for part in layout.parts:
        wide = part.field is not None and bool(part.field.words)
        bits = _HAVE_BITS if part.name == "have" else part.bits
        found.append(Dimension(part, wide, 0 if wide else bits, at))
        at += (8 << root_bits(slots)) if wide else _cell(slots) << bits
    return tuple(found)


def order_at(layout: acl.Layout, slots: int) -> int:
    """Where the places of the records' values begin."""
    last = dims(layout, slots)[-1]
    return last.at + ((8 << root_bits(slots)) if last.wide else _cell(slots) << last.bits)


def _cell(slots: int) -> int:
    """Bytes of what a value leads to: the vector itself, or its place."""
    return 8 if slots <= ONE_WORD else 4


def _turn(slots: int, record: int) -> int:
    """Where in `order` a record stands."""
    return (DE_BRUIJN << record & (1 << 64) - 1) >> 58 if slots <= ONE_WORD else record


def aggregates(slots: int) -> int:
    """Words of aggregates in a vector."""
    return -(-slots // 4096) if slots > ONE_WORD else 0


def build(layout: acl.Layout, slots: int, rows: Sequence[acl.Row]) -> bytes:
    """The half that holds these rows, which stand in the order in which they are tried."""
    encoded = [record for row in rows for record in row.records]
    if len(encoded) > slots:
        raise TableError(
            f"the rules became {len(encoded)} records, the table holds {slots}", cure="deploy again with the rules in the file"
        )
    start = order_at(layout, slots)
    space = Space(up(start + 4 * slots, LINE))
    records = [acl.decode_record(layout, data) for data in encoded]
    vectors = _Vectors(space, slots)
    for dim in dims(layout, slots):
        if dim.wide:
            _wide(space, vectors, dim, root_bits(slots), records)
        elif dim.range or (dim.bits == 16):
            _ranges(space, vectors, dim, records)
        else:
            _lanes(space, vectors, dim, records)
    first = list(accumulate((len(row.records) for row in rows), initial=0))
    for row, at, end in zip(rows, first, first[1:], strict=False):
        place = space.put(struct.pack("=Q", row.number) + row.value, 8) + 8 >> 3
        for record in range(at, end):
            struct.pack_into("=I", space.data, start + 4 * _turn(slots, record), place)
    index = space.put(b"".join(struct.pack("=III", row.number, at, len(row.records)) for row, at in zip(rows, first, strict=False)), 8)
    source = space.put(b"".join(encoded), 8)
    idle = sum(1 << k for k, dim in enumerate(dims(layout, slots)) if not any(_named(record, dim) for record in records))
    struct.pack_into("=IIIII", space.data, 0, len(rows), len(encoded), index, source, idle)
    return bytes(space.data)


def index(half: memoryview) -> dict[int, tuple[int, int]]:
    """Number of a rule -> its first record, and how many."""
    at, end = index_at(half)
    numbers = struct.unpack_from(f"={(end - at) // 4}I", half, at)
    return {numbers[k]: (numbers[k + 1], numbers[k + 2]) for k in range(0, len(numbers), 3)}


def index_at(head: memoryview) -> tuple[int, int]:
    """Where in a half that begins so its index stands: offset and end."""
    count, _, at, _ = struct.unpack_from("=IIII", head)
    return at, at + 12 * count


def find(index: memoryview, number: int) -> tuple[int, int]:
    """First record of a rule, and how many; (0, 0) where there is none of that number."""
    words, count = index.cast("I"), len(index) // 12
    place = bisect_left(range(count), number, key=lambda k: words[3 * k])
    return (words[3 * place + 1], words[3 * place + 2]) if place < count and words[3 * place] == number else (0, 0)


def row(layout: acl.Layout, value_size: int, slots: int, half: memoryview, number: int, first: int, count: int) -> acl.Row:
    """One rule of a half."""
    source, size = struct.unpack_from("=I", half, 12)[0], layout.record_size
    records = tuple(bytes(half[source + k * size : source + (k + 1) * size]) for k in range(first, first + count))
    place = struct.unpack_from("=I", half, order_at(layout, slots) + 4 * _turn(slots, first))[0] << 3
    return acl.Row(number, records, bytes(half[place : place + value_size]))


class _Vectors:
    """Vectors, each once. As a number, a vector has its aggregates in the low bits."""

    def __init__(self, space: Space, slots: int) -> None:
        self._space, self._slots, self._low = space, slots, 64 * aggregates(slots)
        self._places: dict[int, int] = {0: 0}  # of a vector without a bit: none

    @property
    def cells(self) -> str:
        """The type of a table's cells, as `array` spells it."""
        return "I" if self._low else "Q"

    def cell(self, vector: int) -> int:
        """What stands in a table for a vector."""
        return self.place(vector) if self._low else vector

    def one(self, record: int) -> int:
        """The vector of one record; vectors may be joined by `|`."""
        return self.of(1 << record)

    def of(self, records: int) -> int:
        """The vector of a number that has the records' bits only."""
        if not self._low:
            return records
        words = struct.unpack(f"={self._slots // 64}Q", records.to_bytes(self._slots // 8, "little"))
        return sum(1 << k for k, word in enumerate(words) if word) | records << self._low

    def place(self, vector: int) -> int:
        """Where it lies, in 8 bytes."""
        found = self._places.get(vector)
        if found is None:
            data = vector.to_bytes((self._low + self._slots) // 8, "little")
            found = self._places[vector] = self._space.put(data, 8) >> 3
        return found


def _wide(space: Space, vectors: _Vectors, dim: Dimension, bits: int, records: Sequence[acl.Record]) -> None:
    """A prefix's vector is that of the prefixes around it, and its own."""
    always, own = 0, dict[tuple[bool, int, int], int]()
    for number, record in enumerate(records):
        value, mask = _wide_bits(record, dim)
        length = mask.bit_count()
        if not length:
            always |= vectors.one(number)
            continue
        v4 = not dim.mac and length >= 96 and value >> 32 == _MAPPED
        key = (v4, value & 0xFFFFFFFF, length - 96) if v4 else (v4, value, length)
        own[key] = own.get(key, 0) | vectors.one(number)
    for family in (V4, V6):
        items, around = [], list[tuple[int, int, int]]()
        for v4, value, length in sorted(key for key in own if key[0] == (family is V4)):
            while around and value >> family.width - around[-1][1] != around[-1][0] >> family.width - around[-1][1]:
                around.pop()
            vector = own[v4, value, length] | (around[-1][2] if around else always)
            around.append((value, length, vector))
            items.append((value, length, vectors.place(vector)))
        plant(space, dim.at + (0 if family is V4 else 4 << bits), bits, family, items, vectors.place(always))


def _wide_bits(record: acl.Record, dim: Dimension) -> tuple[int, int]:
    """(value, mask) with the first bit of the first byte as the highest of 128."""
    words = record.words[dim.word : dim.word + (1 if dim.mac else 2)]
    joined = [struct.pack("=2Q", *(word[k] for word in words), *([0] if dim.mac else [])) for k in (0, 1)]
    return int.from_bytes(joined[0], "big"), int.from_bytes(joined[1], "big")


def _ranges(space: Space, vectors: _Vectors, dim: Dimension, records: Sequence[acl.Record]) -> None:
    """From left to right: at each border some records begin or end."""
    turns: dict[int, int] = {0: 0, 1 << dim.bits: 0}
    for number, (low, high) in enumerate(_range(record, dim) for record in records):
        for border in (low, high + 1):
            turns[border] = turns.get(border, 0) ^ 1 << number
    inside = 0
    cells = array(vectors.cells, [0]) * (1 << dim.bits)
    for at, end in pairwise(sorted(turns)):
        inside ^= turns[at]
        cells[at:end] = array(vectors.cells, [vectors.cell(vectors.of(inside))]) * (end - at)
    space.data[dim.at : dim.at + cells.itemsize * len(cells)] = cells.tobytes()


def _range(record: acl.Record, dim: Dimension) -> tuple[int, int]:
    if dim.range:
        return record.ranges[dim.word]
    value, mask = _small_bits(record, dim)
    return (value, value) if mask else (0, (1 << dim.bits) - 1)


def _lanes(space: Space, vectors: _Vectors, dim: Dimension, records: Sequence[acl.Record]) -> None:
    """Any value and mask: each of the few values of the field is tried."""
    own: dict[tuple[int, int], int] = {}
    for number, record in enumerate(records):
        pair = _small_bits(record, dim)
        own[pair] = own.get(pair, 0) | vectors.one(number)
    joined = (_joined(bits for (v, m), bits in own.items() if n & m == v) for n in range(1 << dim.bits))
    cells = array(vectors.cells, map(vectors.cell, joined))
    space.data[dim.at : dim.at + cells.itemsize * len(cells)] = cells.tobytes()


def _small_bits(record: acl.Record, dim: Dimension) -> tuple[int, int]:
    value, mask = record.words[dim.word]
    ones = (1 << dim.part.bits) - 1
    return value >> dim.shift & ones, mask >> dim.shift & ones


def _named(record: acl.Record, dim: Dimension) -> bool:
    """Whether the record says anything of the dimension."""
    if dim.wide:
        return _wide_bits(record, dim)[1] != 0
    return _range(record, dim) != (0, (1 << dim.bits) - 1) if dim.range else _small_bits(record, dim)[1] != 0


def _joined(vectors: Iterable[int]) -> int:
    joined = 0
    for vector in vectors:
        joined |= vector
    return joined
