"""Rules over packet fields: as lists of bits, and as records that a program compares one by one, of which the first that fits decides.

A rule is `{"match": {field: [values]}, ...value fields}`. A list means any of. What has room for a list takes a rule as a *term*, or two
where it names addresses of both IP versions, which never meet (`terms`; tables/direct/rules.py). Where records are compared, a rule
becomes one for each combination. All small fields share words of 64 bits, so that a program compares a record by a few xors and masks and
one branch. Such a table is one blob, replaced as a whole:

    u32 rules, records; struct record records[capacity + 1]; value values[capacity]; u32 numbers[capacity]

A record's `rule` is the 1-based place of its value. Behind the last comes a record that everything fits, with `rule` 0: no rule.
"""

from __future__ import annotations

import itertools
import math
import struct
from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from ebpfnf.errors import TableError
from ebpfnf.tables.match import Bits, MatchField, bits_of, presence, text_of, version_of
from ebpfnf.tables.types import Type

_HEADER = 8
_ANY = (0, 65535)
Term = tuple[tuple[Bits, ...], ...]  # of each part of a layout: what the packet's may be; none: anything


@dataclass(frozen=True, slots=True)
class Rule:
    """What a packet must be for the rule to fit. `require`, `exclude`: presence bits (match.HAVE) beside those of the fields."""

    match: Mapping[str, Sequence[Any]]
    require: int = 0
    exclude: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One combination of a rule's values: (value, mask) of each word, (low, high) of each range."""

    words: tuple[tuple[int, int], ...]
    ranges: tuple[tuple[int, int], ...]
    named: int  # bit i: the rule names field i; tells a prefix of length 0 from a field left out


@dataclass(frozen=True, slots=True)
class Row:
    """A rule in bits, in one form only: rows are equal where rules are."""

    number: int
    lists: tuple[tuple[Bits, ...], ...]  # of each field of the layout: what the packet's may be; none: the rule does not name it
    require: int
    exclude: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Where a field, or the presence bits (`have`), stand: in words `word`..., shifted, or as range number `word`."""

    name: str
    word: int
    shift: int
    bits: int
    field: MatchField | None  # None: the presence bits, or the IP version that address fields imply
    place: int  # of the field in the layout's; -1: none

    @property
    def range(self) -> bool:
        return self.field is not None and self.field.match == "range"


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a table's records."""

    fields: tuple[MatchField, ...]
    parts: tuple[Part, ...]
    words: int
    ranges: int
    have: int  # which part the presence bits are
    version: int  # which the IP version is; -1: none
    form: struct.Struct  # values and masks of the words, lows and highs of the ranges, rule, named

    @property
    def place_at(self) -> int:
        """Where in a record its rule's place is."""
        return self.form.size - 8

    @property
    def record_size(self) -> int:
        return -(-self.form.size // 8) * 8

    @property
    def around(self) -> struct.Struct:
        """A record's bytes before its rule's place, that, and those behind."""
        return struct.Struct(f"={self.place_at}sI{self.record_size - self.place_at - 4}s")

    def blob_size(self, capacity: int, value: Type) -> int:
        return self.numbers_at(capacity, value) + 4 * capacity

    def values_at(self, capacity: int) -> int:
        return _HEADER + (capacity + 1) * self.record_size

    def numbers_at(self, capacity: int, value: Type) -> int:
        return -(-(self.values_at(capacity) + capacity * value.size) // 4) * 4


@lru_cache(maxsize=64)
def layout_of(fields: tuple[MatchField, ...]) -> Layout:
    """Wide fields get words of their own; the presence bits, the IP version and small fields share what follows."""
    parts, ranges = [], 0
    word = 0
    for place, field in enumerate(fields):
        if field.match == "range":
            parts.append(Part(field.name, ranges, 0, 16, field, place))
            ranges += 1
        elif field.words:
            parts.append(Part(field.name, word, 0, 64, field, place))
            word += field.words
    small = [Part("have", 0, 0, 16, None, -1)]
    if any(f.type == "prefix" for f in fields) and not any(f.name == "ip.version" for f in fields):
        small.append(Part("ip.version", 0, 0, 8, None, -1))
    small += [Part(f.name, 0, 0, f.bits, f, place) for place, f in enumerate(fields) if f.bits]
    shift = 0
    for part in small:
        if shift + part.bits > 64:
            word, shift = word + 1, 0
        parts.append(replace(part, word=word, shift=shift))
        shift += part.bits
    names = [part.name for part in parts]
    version = names.index("ip.version") if "ip.version" in names else -1
    form = struct.Struct(f"={2 * (word + 1)}Q{2 * ranges}HII")
    return Layout(tuple(fields), tuple(parts), word + 1, ranges, names.index("have"), version, form)


def compile_rule(layout: Layout, number: int, rule: Rule, value: bytes = b"") -> Row:
    """The row of a rule; TableError says what was wanted. Values that only the other IP version could meet are left out."""
    known = {field.name: field for field in layout.fields}
    for name, values in rule.match.items():
        if name not in known:
            raise TableError(f"rule {number}: '{name}' is not among the fields of this table: " + ", ".join(known))
        if not values:
            raise TableError(f"rule {number}: '{name}' has no values")
    lists = [_bits(number, field, rule.match.get(field.name, ())) for field in layout.fields]
    named = [versions for versions in map(_versions, layout.fields, lists) if versions]
    common = [version for version in (named[0] if named else (0,)) if all(version in versions for versions in named)]
    if not common:
        raise TableError(f"rule {number} can't match: it wants both IPv4 and IPv6")
    kept = tuple(
        tuple(bits for version in common for bits in own if version_of(field, bits) == version) if _versions(field, own) else own
        for field, own in zip(layout.fields, lists, strict=True)
    )
    have = presence(known[name] for name in rule.match)
    return Row(number, kept, rule.require & ~have, rule.exclude & ~(have | rule.require), value)


def make_row(layout: Layout, kind: Type, number: int, rule: Rule, value: Any) -> Row:
    """The row of a rule and its canonical value; TableError says what was wanted."""
    return compile_rule(layout, number, rule, kind.encode(value))


def read_row(layout: Layout, kind: Type, row: Row) -> tuple[Rule, Any]:
    """What `make_row` was given; each field's values in their normal spelling."""
    match = {field.name: [text_of(field, bits) for bits in own] for field, own in zip(layout.fields, row.lists, strict=True) if own}
    return Rule(match, row.require, row.exclude), kind.decode(row.value)


def terms(layout: Layout, row: Row) -> list[Term]:
    """What the rule asks of the parts of a packet; a second term where it names addresses of both IP versions."""
    named = [(field, own) for field, own in zip(layout.fields, row.lists, strict=True) if own]
    versions = next((each for field, own in named if (each := _versions(field, own))), (0,))
    have = row.require | presence(field for field, _ in named)
    found: list[Term] = []
    for version in versions:
        term = [row.lists[part.place] if part.place >= 0 else () for part in layout.parts]
        if have | row.exclude:
            term[layout.have] = (((have, have | row.exclude),),)
        if len(versions) > 1:
            pairs = zip(layout.parts, term, strict=True)
            term = [tuple(bits for bits in own if not part.field or version_of(part.field, bits) in (0, version)) for part, own in pairs]
        if version:
            term[layout.version] = (((version, 255),),)
        found.append(tuple(term))
    return found


def combinations(layout: Layout, row: Row) -> int:
    """How many records the rule becomes."""
    if all(len(own) < 2 for own in row.lists):
        return 1
    return sum(map(_combinations, terms(layout, row)))


def pack_row(row: Row) -> bytes:
    """A row without its number and value, in words of 64 bits."""
    words = [row.require, row.exclude]
    for own in row.lists:
        words += [len(own), *(number for bits in own for pair in bits for number in pair)]
    return struct.pack(f"={len(words)}Q", *words)


def unpack_row(layout: Layout, number: int, words: memoryview, value: bytes) -> Row:
    """The row of which `pack_row` made the beginning of these words."""
    lists, at = list[tuple[Bits, ...]](), 2
    for field in layout.fields:
        count, pairs = words[at], field.words or 1
        if not count:  # most are empty
            lists.append(())
            at += 1
            continue
        numbers = words[at + 1 : at + 1 + 2 * pairs * count]
        own = list(zip(numbers[::2], numbers[1::2], strict=True))
        lists.append(tuple(tuple(own[start : start + pairs]) for start in range(0, len(own), pairs)))
        at += 1 + len(numbers)
    return Row(number, tuple(lists), words[0], words[1], value)


def join(layout: Layout, kind: Type, capacity: int, rows: Sequence[Row]) -> bytes:
    """The table as one value. Rows stand in the order in which they are tried."""
    count = sum(combinations(layout, row) for row in rows)
    _fit(count, len(rows), capacity)  # before so many are made
    return together(layout, kind, capacity, [_packed(layout, row) for row in rows])


def split(layout: Layout, kind: Type, capacity: int, blob: bytes) -> list[Row]:
    """The rows that `join` was given."""
    return [_unpacked(layout, packed) for packed in apart(layout, kind, capacity, blob)]


def used(blob: bytes) -> int:
    """How many records the table has."""
    return int(struct.unpack_from("=II", blob)[1])


def find(layout: Layout, kind: Type, capacity: int, blob: bytes, number: int) -> Row | None:
    """The row of this number."""
    return next((_unpacked(layout, packed) for packed in apart(layout, kind, capacity, blob) if packed.number == number), None)


def changed(layout: Layout, kind: Type, capacity: int, blob: bytes, number: int, row: Row | None) -> bytes:
    """The table with this row for that of its number, with None without it. Rows stand in the order of their numbers."""
    packed = [each for each in apart(layout, kind, capacity, blob) if each.number != number]
    if row is not None:
        _fit(sum(len(each.records) for each in packed) + combinations(layout, row), len(packed) + 1, capacity)
        insort(packed, _packed(layout, row), key=lambda each: each.number)
    return together(layout, kind, capacity, packed)


class Packed(NamedTuple):
    """A row as it lies in a blob, its records without their place (Layout.around): equal where rows are."""

    number: int
    records: list[tuple[bytes, bytes]]
    value: bytes


def _packed(layout: Layout, row: Row) -> Packed:
    named = sum(1 << place for place, own in enumerate(row.lists) if own)
    records = [encode_record(layout, 0, record) for term in terms(layout, row) for record in _records(layout, term, named)]
    return Packed(row.number, [(head, tail) for head, _, tail in map(layout.around.unpack, records)], row.value)


def _unpacked(layout: Layout, packed: Packed) -> Row:
    records = [decode_record(layout, layout.around.pack(head, 0, tail))[1] for head, tail in packed.records]
    return _row(layout, packed.number, records, packed.value)


def together(layout: Layout, kind: Type, capacity: int, rows: Sequence[Packed]) -> bytes:
    """The blob of rows that lie as in one; they have room there."""
    count, pack = sum(len(row.records) for row in rows), layout.around.pack
    blob = bytearray(layout.blob_size(capacity, kind))
    struct.pack_into("=II", blob, 0, len(rows), count)
    records = [pack(head, place, tail) for place, row in enumerate(rows, 1) for head, tail in row.records]
    records += [encode_record(layout, 0, Record(((0, 0),) * layout.words, (_ANY,) * layout.ranges, 0))] * (capacity + 1 - count)
    blob[_HEADER : layout.values_at(capacity)] = b"".join(records)
    values = b"".join(row.value for row in rows)
    blob[layout.values_at(capacity) : layout.values_at(capacity) + len(values)] = values
    struct.pack_into(f"={len(rows)}I", blob, layout.numbers_at(capacity, kind), *(row.number for row in rows))
    return bytes(blob)


def apart(layout: Layout, kind: Type, capacity: int, blob: bytes) -> list[Packed]:
    """The rows of a blob as they lie in it: cheaper by far than `split`, which reads them."""
    count, records = struct.unpack_from("=II", blob)
    numbers = struct.unpack_from(f"={count}I", blob, layout.numbers_at(capacity, kind))
    start, size = layout.values_at(capacity), kind.size
    rows = [Packed(number, [], blob[start + place * size : start + (place + 1) * size]) for place, number in enumerate(numbers)]
    for head, place, tail in layout.around.iter_unpack(memoryview(blob)[_HEADER : _HEADER + records * layout.record_size]):
        rows[place - 1].records.append((head, tail))
    return rows


def _fit(records: int, rows: int, capacity: int) -> None:
    if records > capacity or rows > capacity:
        cure = "use prefixes for lists, or deploy again with the rules in the file"
        raise TableError(f"the rules became {records} records, the table holds {capacity}", cure=cure)


def encode_record(layout: Layout, place: int, record: Record) -> bytes:
    """The bytes that C sees of a record of the rule at this place; 0: no rule."""
    data = layout.form.pack(
        *(v for v, _ in record.words), *(m for _, m in record.words),
        *(low for low, _ in record.ranges), *(high for _, high in record.ranges), place, record.named,
    )  # fmt: skip
    return data.ljust(layout.record_size, b"\0")


def decode_record(layout: Layout, data: bytes) -> tuple[int, Record]:
    """The place of the rule, and the record in these bytes."""
    numbers = layout.form.unpack_from(data)
    w, r = layout.words, layout.ranges
    low, high = numbers[2 * w : 2 * w + r], numbers[2 * w + r : 2 * w + 2 * r]
    words = tuple(zip(numbers[:w], numbers[w : 2 * w], strict=True))
    return numbers[-2], Record(words, tuple(zip(low, high, strict=True)), numbers[-1])


def _combinations(term: Term) -> int:
    return math.prod(len(asked) or 1 for asked in term)


def _records(layout: Layout, term: Term, named: int) -> Iterator[Record]:
    """A record for each combination of a term's values."""
    asked = [(part, own) for part, own in zip(layout.parts, term, strict=True) if own]
    for choice in itertools.product(*(own for _, own in asked)):
        words, ranges = [[0, 0] for _ in range(layout.words)], [_ANY] * layout.ranges
        for (part, _), bits in zip(asked, choice, strict=True):
            if part.range:
                ranges[part.word] = bits[0]
                continue
            for word, (value, mask) in enumerate(bits, part.word):
                words[word][0] |= value << part.shift
                words[word][1] |= mask << part.shift
        yield Record(tuple((v, m) for v, m in words), tuple(ranges), named)


def _row(layout: Layout, number: int, records: Sequence[Record], value: bytes) -> Row:
    """The row that became these records: each list in the order in which its values first appear."""
    lists: list[tuple[Bits, ...]] = [()] * len(layout.fields)
    named = records[0].named
    for part in layout.parts:
        if part.place >= 0 and named >> part.place & 1:
            lists[part.place] = tuple(dict.fromkeys(_bits_at(record, part) for record in records))
    ((have, mask),) = _bits_at(records[0], layout.parts[layout.have])
    implied = presence(field for field, own in zip(layout.fields, lists, strict=True) if own)
    return Row(number, tuple(lists), have & ~implied, mask & ~have, value)


def _bits(number: int, field: MatchField, values: Sequence[Any]) -> tuple[Bits, ...]:
    try:
        return tuple(dict.fromkeys(bits_of(field, value) for value in values))
    except ValueError as error:
        raise TableError(f"rule {number}: '{field.name}': wanted {error}") from None


def _versions(field: MatchField, own: Sequence[Bits]) -> tuple[int, ...]:
    """The IP versions that a list names; none where its values are of no version."""
    return tuple(dict.fromkeys(version for bits in own if (version := version_of(field, bits))))


def _bits_at(record: Record, part: Part) -> Bits:
    if part.range:
        return (record.ranges[part.word],)
    if part.field and part.field.words:
        return record.words[part.word : part.word + part.field.words]
    value, mask = record.words[part.word]
    ones = (1 << part.bits) - 1
    return ((value >> part.shift & ones, mask >> part.shift & ones),)
