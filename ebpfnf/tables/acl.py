"""Rules over packet fields, as records that a program compares one by one: the first that fits decides.

A rule is `{"match": {field: [values]}, ...value fields}`. A list means any of, so a rule becomes one record for each
combination; combinations of an IPv4 with an IPv6 value can't match and make none. All small fields share words of 64 bits,
so that a program compares a record by a few xors and masks and one branch. A table is one blob, replaced as a whole:

    u32 rules, records; struct record records[capacity + 1]; value values[capacity]; u32 numbers[capacity]

A record's `rule` is the 1-based place of its value. Behind the last comes a record that everything fits, with `rule` 0: no rule.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ebpfnf.errors import TableError
from ebpfnf.tables.match import MatchField, bits_of, family, presence, text_of
from ebpfnf.tables.types import Type

_MOST = 1 << 16  # combinations of one rule: beyond that, say so instead of filling memory
_HEADER = 8
_ANY = (0, 65535)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a packet must be for the rule to fit. `require`, `exclude`: presence bits (match.HAVE) beside those of the fields."""

    match: Mapping[str, Sequence[Any]]
    require: int = 0
    exclude: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One combination of a rule's values: (value, mask) of each word, (low, high) of each range."""

    rule: int  # 0-based index of the rule
    words: tuple[tuple[int, int], ...]
    ranges: tuple[tuple[int, int], ...]
    named: int  # bit i: the rule names field i; tells a prefix of length 0 from a field left out


@dataclass(frozen=True, slots=True)
class Row:
    """A rule as it lies in a blob: its number, its records (their `rule` is not set), its value."""

    number: int
    records: tuple[bytes, ...]
    value: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Where a field, or the presence bits (`have`), stand: in words `word`..., shifted, or as range number `word`."""

    name: str
    word: int
    shift: int
    bits: int
    field: MatchField | None  # None: the presence bits, or the IP version that address fields imply


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a table's records."""

    fields: tuple[MatchField, ...]
    parts: tuple[Part, ...]
    words: int
    ranges: int

    @property
    def rule_at(self) -> int:
        return 16 * self.words + 4 * self.ranges

    @property
    def record_size(self) -> int:
        return -(-(self.rule_at + 8) // 8) * 8

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
    for field in fields:
        if field.match == "range":
            parts.append(Part(field.name, ranges, 0, 16, field))
            ranges += 1
        elif field.words:
            parts.append(Part(field.name, word, 0, 64, field))
            word += field.words
    small = [Part("have", 0, 0, 16, None)]
    if any(f.type == "prefix" for f in fields) and not any(f.name == "ip.version" for f in fields):
        small.append(Part("ip.version", 0, 0, 8, None))
    small += [Part(f.name, 0, 0, f.bits, f) for f in fields if f.bits]
    shift = 0
    for part in small:
        if shift + part.bits > 64:
            word, shift = word + 1, 0
        parts.append(Part(part.name, word, shift, part.bits, part.field))
        shift += part.bits
    return Layout(tuple(fields), tuple(parts), word + 1, ranges)


def compile_rules(fields: tuple[MatchField, ...], rules: Sequence[Rule]) -> list[Record]:
    """The records of the rules, in order. TableError names the rule, counted from 1, and what was wanted."""
    layout = layout_of(fields)
    return [record for index, rule in enumerate(rules) for record in _compile(layout, index, index + 1, rule)]


def make_row(layout: Layout, kind: Type, number: int, rule: Rule, value: Any) -> Row:
    """The row of a rule and its canonical value; TableError says what was wanted."""
    records = tuple(encode_record(layout, record) for record in _compile(layout, -1, number, rule))
    return Row(number, records, kind.encode(value))


def read_row(layout: Layout, kind: Type, row: Row) -> tuple[Rule, Any]:
    """What `make_row` was given; each field's values in their normal spelling."""
    have = without = 0
    match: dict[str, list[Any]] = {}
    places = {part.name: part for part in layout.parts}
    for record in (decode_record(layout, data) for data in row.records):
        ((value, mask),) = _bits_at(record, places["have"])
        have, without = value, mask & ~value
        for place, field in enumerate(layout.fields):
            if record.named >> place & 1:
                text = text_of(field, _bits_at(record, places[field.name]))
                if text not in (values := match.setdefault(field.name, [])):
                    values.append(text)
    known = {field.name: field for field in layout.fields}
    return Rule(match, have & ~presence(match, known), without), kind.decode(row.value)


def same(layout: Layout, one: Row, other: Row) -> bool:
    """Whether both are the same rule, wherever they stand: `join` writes the place into their records."""
    at = layout.rule_at
    bare = ([(data[:at], data[at + 4 :]) for data in row.records] for row in (one, other))
    return one.number == other.number and one.value == other.value and next(bare) == next(bare)


def join(layout: Layout, kind: Type, capacity: int, rows: Sequence[Row]) -> bytes:
    """The table as one value. Rows stand in the order in which they are tried."""
    at = layout.rule_at
    records = [struct.pack("=I", place).join((data[:at], data[at + 4 :])) for place, row in enumerate(rows, 1) for data in row.records]
    if len(records) > capacity or len(rows) > capacity:
        cure = "use prefixes for lists, or deploy again with the rules in the file"
        raise TableError(f"the rules became {len(records)} records, the table holds {capacity}", cure=cure)
    blob = bytearray(layout.blob_size(capacity, kind))
    struct.pack_into("=II", blob, 0, len(rows), len(records))
    records += [encode_record(layout, None)] * (capacity + 1 - len(records))
    blob[_HEADER : layout.values_at(capacity)] = b"".join(records)
    values = b"".join(row.value for row in rows)
    blob[layout.values_at(capacity) : layout.values_at(capacity) + len(values)] = values
    struct.pack_into(f"={len(rows)}I", blob, layout.numbers_at(capacity, kind), *(row.number for row in rows))
    return bytes(blob)


def split(layout: Layout, kind: Type, capacity: int, blob: bytes) -> list[Row]:
    """The rows that `join` was given."""
    count, used = struct.unpack_from("=II", blob)
    numbers = struct.unpack_from(f"={count}I", blob, layout.numbers_at(capacity, kind))
    records: list[list[bytes]] = [[] for _ in numbers]
    for start in range(_HEADER, _HEADER + used * layout.record_size, layout.record_size):
        data = blob[start : start + layout.record_size]
        records[struct.unpack_from("=I", data, layout.rule_at)[0] - 1].append(data)
    start = layout.values_at(capacity)
    values = [blob[start + place * kind.size : start + (place + 1) * kind.size] for place in range(count)]
    return [Row(number, tuple(own), value) for number, own, value in zip(numbers, records, values, strict=True)]


def _compile(layout: Layout, index: int, label: int, rule: Rule) -> list[Record]:
    """The records of one rule, called `label` in errors."""
    known = {field.name: field for field in layout.fields}
    for name, values in rule.match.items():
        if name not in known:
            raise TableError(f"rule {label}: '{name}' is not among the fields of this table: " + ", ".join(known))
        if not values:
            raise TableError(f"rule {label}: '{name}' has no values")
    if math.prod(len(values) for values in rule.match.values()) > _MOST:
        raise TableError(f"rule {label}: its lists combine to more than {_MOST} records", cure="use prefixes or several rules")
    made = [_record(layout, index, rule, choice) for choice in itertools.product(*_choices(known, rule, label))]
    if not any(made):
        raise TableError(f"rule {label} can't match: it wants both IPv4 and IPv6")
    return [record for record in made if record]


def encode_record(layout: Layout, record: Record | None) -> bytes:
    """The bytes that C sees; None: the record that everything fits and that means no rule."""
    if record is None:
        words, ranges, rule, named = ((0, 0),) * layout.words, (_ANY,) * layout.ranges, 0, 0
    else:
        words, ranges, rule, named = record.words, record.ranges, record.rule + 1, record.named
    data = struct.pack(
        f"={2 * layout.words}Q{2 * layout.ranges}HII", *(v for v, _ in words), *(m for _, m in words),
        *(low for low, _ in ranges), *(high for _, high in ranges), rule, named,
    )  # fmt: skip
    return data.ljust(layout.record_size, b"\0")


def decode_record(layout: Layout, data: bytes) -> Record:
    """The record in these bytes."""
    numbers = struct.unpack_from(f"={2 * layout.words}Q{2 * layout.ranges}HII", data)
    w, r = layout.words, layout.ranges
    low, high = numbers[2 * w : 2 * w + r], numbers[2 * w + r : 2 * w + 2 * r]
    words = tuple(zip(numbers[:w], numbers[w : 2 * w], strict=True))
    return Record(numbers[-2] - 1, words, tuple(zip(low, high, strict=True)), numbers[-1])


def _choices(known: Mapping[str, MatchField], rule: Rule, label: int) -> list[list[tuple[MatchField, int, tuple[tuple[int, int], ...]]]]:
    """For each field of the rule its values as (field, family, bits)."""
    result = []
    for name, values in rule.match.items():
        field = known[name]
        try:
            result.append([(field, family(field, value), bits_of(field, value)) for value in values])
        except ValueError as error:
            raise TableError(f"rule {label}: '{name}': wanted {error}") from None
    return result


def _record(layout: Layout, index: int, rule: Rule, choice: Sequence[tuple[MatchField, int, tuple[tuple[int, int], ...]]]) -> Record | None:
    families = {version for _, version, _ in choice if version}
    if len(families) > 1:
        return None
    chosen = {field.name: bits for field, _, bits in choice}
    named = sum(1 << place for place, field in enumerate(layout.fields) if field.name in chosen)
    have = rule.require | presence(chosen, {f.name: f for f in layout.fields})
    chosen["have"] = ((have, have | rule.exclude),)
    if families:
        chosen["ip.version"] = ((families.pop(), 255),)
    words, ranges = [[0, 0] for _ in range(layout.words)], [_ANY] * layout.ranges
    for part in layout.parts:
        if part.name not in chosen:
            continue
        if part.field and part.field.match == "range":
            ranges[part.word] = chosen[part.name][0]
            continue
        for offset, (bits, mask) in enumerate(chosen[part.name]):
            words[part.word + offset][0] |= bits << part.shift
            words[part.word + offset][1] |= mask << part.shift
    return Record(index, tuple((v, m) for v, m in words), tuple(ranges), named)


def _bits_at(record: Record, part: Part) -> tuple[tuple[int, int], ...]:
    if part.field and part.field.match == "range":
        return (record.ranges[part.word],)
    if part.field and part.field.words:
        return record.words[part.word : part.word + part.field.words]
    value, mask = record.words[part.word]
    ones = (1 << part.bits) - 1
    return ((value >> part.shift & ones, mask >> part.shift & ones),)
