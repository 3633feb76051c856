"""Many rules in a half, by decomposition: each dimension (an address, a port, the protocol, ...) leads from the packet's value to a vector
with a bit for each term (acl.terms: a rule, or what it asks of one IP version) that it fits; the lowest bit that all vectors have is the
first match. A vector begins with aggregates, a bit for each of its words that is not zero, so that few words are looked at (Baboescu and
Varghese, SIGCOMM 2001).

    u64 none[4]; u32 rows, terms, index, idle; tables and roots of the dimensions; u32 order[slots]; then, in any order: vectors, nodes and
    tails of tries, cells {u64 number; value}, the index {u32 number, first term, terms, place in 8 bytes of the rule}, rules as acl packs
    them

The vector without a bit is at place 0, where `none` is. `idle` has a bit for each dimension that no term names. Where there are 64 terms at
most a vector is one word without aggregates, which stands in the tables itself, and `order` is sorted by what a term's bit times DE_BRUIJN
has in its six highest bits.

A rule that was changed live stands in the small part, whose records are compared one by one; its old terms are dead there.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress, pairwise
from typing import NamedTuple

from ebpfnf.errors import TableError
from ebpfnf.tables import acl
from ebpfnf.tables.direct.place import LINE, Space, up
from ebpfnf.tables.direct.trie import V4, V6, plant, root_bits
from ebpfnf.tables.match import Bits

LARGEST = 16384  # terms
FEW = 24  # up to so many records are compared one by one
CHANGED = 384  # records of the small part where there is a large one
FOLDED = 32  # above so many of them the agent begins to make the large part anew, while changes go on
ONE_WORD = 64  # slots of a table whose vectors are one word
HEAD = 32  # where in a half its words of 32 bits begin
IDLE = HEAD + 12  # where `idle` is
DE_BRUIJN = 0x03F79D71B4CB0A89  # as in direct.h
_HAVE_BITS = 9  # bits of match.HAVE
_MAPPED = 0xFFFF


@dataclass(frozen=True, slots=True)
class Dimension:
    """Which part of a term, and the table or the roots at `at` that lead from the packet's to vectors."""

    part: acl.Part
    wide: bool  # an address or a MAC: a trie
    bits: int  # else a cell for each of 1 << bits values
    at: int

    @property
    def mac(self) -> bool:
        return self.part.field is not None and self.part.field.type == "mac"


class Place(NamedTuple):
    """Where a rule stands in a half; nowhere where it has no terms."""

    first: int = 0
    terms: int = 0
    packed: int = 0  # of what acl.pack_row made of it, in 8 bytes

    @property
    def bits(self) -> int:
        """A bit for each of its terms."""
        return (1 << self.terms) - 1 << self.first

    def among(self, terms: int) -> bool:
        """Whether its terms are among these, as which they all are or none."""
        return bool(self.terms and terms >> self.first & 1)


def fits(layout: acl.Layout) -> bool:
    """Whether every field has a dimension: one of 32 bits has not."""
    return all(part.bits <= 16 or (part.field is not None and part.field.words) for part in layout.parts)


def dims(layout: acl.Layout, slots: int) -> tuple[Dimension, ...]:
    """The dimensions of such rules, one for each part of a term, each with its place in the half."""
    found, at = [], LINE
    for part in layout.parts:
        wide = part.field is not None and bool(part.field.words)
        bits = _HAVE_BITS if part.name == "have" else part.bits
        found.append(Dimension(part, wide, 0 if wide else bits, at))
        at += (8 << root_bits(slots)) if wide else _cell(slots) << bits
    return tuple(found)


def order_at(layout: acl.Layout, slots: int) -> int:
    """Where the places of the terms' values begin."""
    last = dims(layout, slots)[-1]
    return last.at + ((8 << root_bits(slots)) if last.wide else _cell(slots) << last.bits)


def _cell(slots: int) -> int:
    """Bytes of what a value leads to: the vector itself, or its place."""
    return 8 if slots <= ONE_WORD else 4


def _turn(slots: int, term: int) -> int:
    """Where in `order` a term stands."""
    return (DE_BRUIJN << term & (1 << 64) - 1) >> 58 if slots <= ONE_WORD else term


def aggregates(slots: int) -> int:
    """Words of aggregates in a vector."""
    return -(-slots // 4096) if slots > ONE_WORD else 0


def build(layout: acl.Layout, slots: int, rows: Sequence[acl.Row]) -> bytes:
    """The half that holds these rows, which stand in the order in which they are tried."""
    own = [acl.terms(layout, row) for row in rows]
    terms = [term for each in own for term in each]
    if len(terms) > slots:
        raise TableError(f"the rules take {len(terms)} places, the table has {slots}", cure="deploy again with the rules in the file")
    start = order_at(layout, slots)
    space = Space(up(start + 4 * slots, LINE))
    vectors, idle = _Vectors(space, slots), 0
    for place, dim in enumerate(dims(layout, slots)):
        lists = [_asked(dim, term[place]) for term in terms]
        idle |= (not any(lists)) << place
        if dim.wide:
            _wide(space, vectors, dim, root_bits(slots), lists)
        elif dim.bits == 16:
            _ranges(space, vectors, dim, lists)
        else:
            _lanes(space, vectors, dim, lists)
    entries = []
    for row, first, count in zip(rows, accumulate(map(len, own), initial=0), map(len, own), strict=False):
        cell = space.put(struct.pack("=Q", row.number) + row.value, 8) + 8 >> 3
        for term in range(first, first + count):
            struct.pack_into("=I", space.data, start + 4 * _turn(slots, term), cell)
        entries.append(struct.pack("=IIII", row.number, first, count, space.put(acl.pack_row(row), 8) >> 3))
    struct.pack_into("=IIII", space.data, HEAD, len(rows), len(terms), space.put(b"".join(entries), 8), idle)
    return bytes(space.data)


def places(layout: acl.Layout, rows: Iterable[acl.Row]) -> dict[int, Place]:
    """The terms of each rule by its number, as `build` counts them."""
    found, first = {}, 0
    for row in rows:
        found[row.number] = Place(first, len(acl.terms(layout, row)))
        first += found[row.number].terms
    return found


def terms_of(places: Mapping[int, Place]) -> int:
    """A bit for each term of all these rules, with which a large part begins."""
    return (1 << sum(place.terms for place in places.values())) - 1


def index(half: memoryview) -> dict[int, Place]:
    """Number of a rule -> its place."""
    at, end = index_at(half)
    numbers = half[at:end].cast("I")
    return {numbers[k]: Place(*numbers[k + 1 : k + 4]) for k in range(0, len(numbers), 4)}


def index_at(head: memoryview) -> tuple[int, int]:
    """Where in a half that begins so its index stands: offset and end."""
    count, _, at = struct.unpack_from("=III", head, HEAD)
    return at, at + 16 * count


def find(index: memoryview, number: int) -> Place:
    """The place of a rule."""
    words, count = index.cast("I"), len(index) // 16
    at = 4 * bisect_left(range(count), number, key=lambda k: words[4 * k])
    return Place(*words[at + 1 : at + 4]) if at < len(words) and words[at] == number else Place()


def rows(layout: acl.Layout, value_size: int, slots: int, half: memoryview, places: Mapping[int, Place]) -> dict[int, acl.Row]:
    """The rules of a half that have these numbers and places."""
    start, found = order_at(layout, slots), {}
    for number, place in places.items():
        cell = struct.unpack_from("=I", half, start + 4 * _turn(slots, place.first))[0] << 3
        value = bytes(half[cell : cell + value_size])
        found[number] = acl.unpack_row(layout, number, half[place.packed << 3 :].cast("Q"), value)
    return found


class _Vectors:
    """Vectors, each written once. Until then each is a number that has its terms' bits."""

    def __init__(self, space: Space, slots: int) -> None:
        self._space, self._slots, self._aggregates = space, slots, aggregates(slots)
        self._bits = [1 << word for word in range(slots // 64)]
        self._places: dict[int, int] = {0: 0}

    @property
    def cells(self) -> str:
        """The type of a table's cells, as `array` spells it."""
        return "I" if self._aggregates else "Q"

    def cell(self, vector: int) -> int:
        """What stands in a table for a vector."""
        return self.place(vector) if self._aggregates else vector

    def place(self, vector: int) -> int:
        """Where it lies, in 8 bytes."""
        found = self._places.get(vector)
        if found is None:
            data = vector.to_bytes(self._slots // 8, "little")
            if self._aggregates:
                words = sum(compress(self._bits, struct.unpack(f"={len(self._bits)}Q", data)))
                data = words.to_bytes(8 * self._aggregates, "little") + data
            found = self._places[vector] = self._space.put(data, 8) >> 3
        return found


def _asked(dim: Dimension, own: Sequence[Bits]) -> Sequence[Bits]:
    """What a term asks of a dimension: nothing where it takes any value."""
    anything = ((0, (1 << dim.bits) - 1),) if dim.part.range else None
    return () if any(bits == anything or not (anything or any(mask for _, mask in bits)) for bits in own) else own


def _wide(space: Space, vectors: _Vectors, dim: Dimension, bits: int, lists: Sequence[Sequence[Bits]]) -> None:
    """A prefix's vector is that of the prefixes around it, and its own."""
    always, own = 0, dict[tuple[bool, int, int], int]()
    for term, asked in enumerate(lists):
        one = 1 << term
        if not asked:
            always |= one
        for value, mask in map(_joined_words, asked):
            length = mask.bit_count()
            v4 = not dim.mac and length >= 96 and value >> 32 == _MAPPED
            key = (v4, value & 0xFFFFFFFF, length - 96) if v4 else (v4, value, length)
            own[key] = own.get(key, 0) | one
    for family in (V4, V6):
        items, around = [], list[tuple[int, int, int]]()
        for v4, value, length in sorted(key for key in own if key[0] == (family is V4)):
            while around and value >> family.width - around[-1][1] != around[-1][0] >> family.width - around[-1][1]:
                around.pop()
            vector = own[v4, value, length] | (around[-1][2] if around else always)
            around.append((value, length, vector))
            items.append((value, length, vectors.place(vector)))
        plant(space, dim.at + (0 if family is V4 else 4 << bits), bits, family, items, vectors.place(always))


def _joined_words(bits: Bits) -> tuple[int, int]:
    """(value, mask) with the first bit of the first byte as the highest of 128."""
    value, mask = (struct.pack(f"={len(words)}Q", *words).ljust(16, b"\0") for words in zip(*bits, strict=True))
    return int.from_bytes(value, "big"), int.from_bytes(mask, "big")


def _ranges(space: Space, vectors: _Vectors, dim: Dimension, lists: Sequence[Sequence[Bits]]) -> None:
    """From left to right: at each border some terms begin or end."""
    turns: dict[int, int] = {0: 0, 1 << dim.bits: 0}
    for term, asked in enumerate(lists):
        for low, high in _apart(dim, asked):
            for border in (low, high + 1):
                turns[border] = turns.get(border, 0) ^ 1 << term
    inside = 0
    cells = array(vectors.cells, [0]) * (1 << dim.bits)
    for at, end in pairwise(sorted(turns)):
        inside ^= turns[at]
        cells[at:end] = array(vectors.cells, [vectors.cell(inside)]) * (end - at)
    space.data[dim.at : dim.at + cells.itemsize * len(cells)] = cells.tobytes()


def _apart(dim: Dimension, asked: Sequence[Bits]) -> list[tuple[int, int]]:
    """The ranges of a list, of which none overlaps another."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(bits[0] if dim.part.range else (bits[0][0], bits[0][0]) for bits in asked):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return found or [(0, (1 << dim.bits) - 1)]


def _lanes(space: Space, vectors: _Vectors, dim: Dimension, lists: Sequence[Sequence[Bits]]) -> None:
    """Any value and mask: each of the few values of the field is tried."""
    own: dict[tuple[int, int], int] = {}
    for term, asked in enumerate(lists):
        for (pair,) in asked or (((0, 0),),):
            own[pair] = own.get(pair, 0) | 1 << term
    joined = (_joined(bits for (v, m), bits in own.items() if n & m == v) for n in range(1 << dim.bits))
    cells = array(vectors.cells, map(vectors.cell, joined))
    space.data[dim.at : dim.at + cells.itemsize * len(cells)] = cells.tobytes()


def _joined(vectors: Iterable[int]) -> int:
    joined = 0
    for vector in vectors:
        joined |= vector
    return joined
