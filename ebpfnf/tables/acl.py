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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    def record_size(self) -> int:
        return -(-(16 * self.words + 4 * self.ranges + 8) // 8) * 8

    def blob_size(self, capacity: int, value: Type) -> int:
        return self.numbers_at(capacity, value) + 4 * capacity

    def values_at(self, capacity: int) -> int:
        return _HEADER + (capacity + 1) * self.record_size

    def numbers_at(self, capacity: int, value: Type) -> int:
        return -(-(self.values_at(capacity) + capacity * value.size) // 4) * 4


def layout_of(fields: Sequence[MatchField]) -> Layout:
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


def compile_rules(fields: Sequence[MatchField], rules: Sequence[Rule]) -> list[Record]:
    """The records of the rules, in order. TableError names the rule, counted from 1, and what was wanted."""
    layout = layout_of(fields)
    known = {field.name: field for field in fields}
    records = []
    for index, rule in enumerate(rules):
        for name in rule.match:
            if name not in known:
                raise TableError(f"rule {index + 1}: '{name}' is not among the fields of this table: " + ", ".join(known))
            if not rule.match[name]:
                raise TableError(f"rule {index + 1}: '{name}' has no values")
        if math.prod(len(values) for values in rule.match.values()) > _MOST:
            raise TableError(f"rule {index + 1}: its lists combine to more than {_MOST} records", cure="use prefixes or several rules")
        made = [_record(layout, index, rule, choice) for choice in itertools.product(*_choices(known, rule, index))]
        if not any(made):
            raise TableError(f"rule {index + 1} can't match: it wants both IPv4 and IPv6")
        records += [record for record in made if record]
    return records


def rules_of(fields: Sequence[MatchField], records: Iterable[Record]) -> dict[int, Rule]:
    """The rules that these records were made of, by index; each field's values in order, in their normal spelling."""
    layout = layout_of(fields)
    rules: dict[int, tuple[dict[str, list[Any]], int, int]] = {}
    for record in records:
        match, _, _ = rules.setdefault(record.rule, ({}, *_presence_of(layout, record)))
        for place, field in enumerate(fields):
            if record.named >> place & 1:
                text = text_of(field, _bits_at(record, next(part for part in layout.parts if part.name == field.name)))
                if text not in (values := match.setdefault(field.name, [])):
                    values.append(text)
    known = {field.name: field for field in fields}
    return {
        index: Rule(match, have & ~presence(match, known), without)
        for index, (match, have, without) in rules.items()
    }


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


def encode_blob(fields: Sequence[MatchField], value: Type, capacity: int, rules: Sequence[tuple[int, Rule, Any]]) -> bytes:
    """The table as one value. `rules`: (number, rule, canonical value), in order of numbers."""
    layout = layout_of(fields)
    records = compile_rules(fields, [rule for _, rule, _ in rules])
    if len(records) > capacity or len(rules) > capacity:
        cure = "use prefixes for lists, or deploy again with the rules in the file"
        raise TableError(f"the rules became {len(records)} records, the table holds {capacity}", cure=cure)
    blob = bytearray(layout.blob_size(capacity, value))
    struct.pack_into("=II", blob, 0, len(rules), len(records))
    encoded = [encode_record(layout, record) for record in records]
    encoded += [encode_record(layout, None)] * (capacity + 1 - len(records))
    blob[_HEADER : layout.values_at(capacity)] = b"".join(encoded)
    for place, (number, _, content) in enumerate(rules):
        at = layout.values_at(capacity) + place * value.size
        blob[at : at + value.size] = value.encode(content)
        struct.pack_into("=I", blob, layout.numbers_at(capacity, value) + 4 * place, number)
    return bytes(blob)


def decode_blob(fields: Sequence[MatchField], value: Type, capacity: int, blob: bytes) -> list[tuple[int, Rule, Any]]:
    """What `encode_blob` was given."""
    layout = layout_of(fields)
    count, used = struct.unpack_from("=II", blob)
    places = [_HEADER + i * layout.record_size for i in range(used)]
    rules = rules_of(fields, [decode_record(layout, blob[at : at + layout.record_size]) for at in places])
    result = []
    for place in range(count):
        at = layout.values_at(capacity) + place * value.size
        number = struct.unpack_from("=I", blob, layout.numbers_at(capacity, value) + 4 * place)[0]
        result.append((number, rules[place], value.decode(blob[at : at + value.size])))
    return result


def _choices(known: Mapping[str, MatchField], rule: Rule, index: int) -> list[list[tuple[MatchField, int, tuple[tuple[int, int], ...]]]]:
    """For each field of the rule its values as (field, family, bits)."""
    result = []
    for name, values in rule.match.items():
        field = known[name]
        try:
            result.append([(field, family(field, value), bits_of(field, value)) for value in values])
        except ValueError as error:
            raise TableError(f"rule {index + 1}: '{name}': wanted {error}") from None
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


def _presence_of(layout: Layout, record: Record) -> tuple[int, int]:
    ((value, mask),) = _bits_at(record, next(part for part in layout.parts if part.name == "have"))
    return value, mask & ~value
