"""From a manifest's table and a stage's configuration to the table that the host sees, filled as the operator's file says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ebpfnf.errors import TableError
from ebpfnf.model import Fields, Stage, Table, TableSpec
from ebpfnf.names import pin_name
from ebpfnf.tables.direct.choose import chosen
from ebpfnf.tables.layout import capacity, key_type, layout_digest, value_type
from ebpfnf.tables.match import MatchField, describe
from ebpfnf.tables.text import key_text
from ebpfnf.tables.types import Integer, Ip, Record, Type

STEP = 10  # between the numbers of an acl's rules, so that an operator can put one between two


def build(spec: TableSpec, stage: Stage, fields: Fields, mode: str = "kernel") -> Table:
    """The table of a stage, with the entries that its parameter gives. TableError carries the manifest's or file's fault."""
    name = f"{stage.id}.{spec.name}"
    key: Any = spec.key
    if spec.kind == "acl":
        key = describe([match_field(fields, field) for field in spec.key or ()])
    size = len(spec.buckets) + 1 if spec.kind == "histogram" else spec.size
    scope = spec.scope or ("cpu" if spec.kind in ("counter", "histogram") else "host")
    table = Table(
        name=name, map=pin_name(name), kind=spec.kind, key=_pairs(key), value=_pairs(spec.value), size=size, filled_by=spec.filled_by,
        scope=scope, when_full=spec.when_full, keep=spec.keep, buckets=tuple(spec.buckets),
    )  # fmt: skip
    entries = entries_of(table, stage.config[spec.entries]) if spec.entries else ()
    table = dataclasses.replace(table, entries=entries, layout=layout_digest(table))
    table = chosen(table, mode)
    if table.kind in ("acl", "consistent_hash", "automaton"):
        capacity(table)
    return table


def match_field(fields: Fields, name: str) -> MatchField:
    """A header field by its name, or `m.<field>` of the metadata, as rules compare it."""
    if name.startswith("m."):
        meta = fields.metadata.get(name[2:])
        if meta is None or meta.c not in ("u8", "u16", "u32", "be16"):
            raise TableError(f"'{name}' can't be matched")
        return MatchField(name, meta.c, "exact")
    header = fields.header.get(name)
    if header is None or header.match == "no":
        wanted = ", ".join(f.name for f in fields.header.values() if f.match != "no")
        raise TableError(f"'{name}' can't be matched: one of {wanted}")
    return MatchField(name, header.type, header.match, header.needs)


def entries_of(table: Table, items: Any) -> tuple[tuple[str, Any], ...]:
    """The entries that a parameter's list makes: (key in text, value in JSON's types).

    Scalars: key = item, value = its index from 0. Rules: numbers 10, 20, ... in order. Records: fields by name, `index` from 1;
    where the key is no field of theirs, it is their place from 1. An address that a record lacks is `::`.
    """
    if len(items) > table.size:
        raise TableError(f"table '{table.name}': {len(items)} entries, it holds {table.size}")
    entries, seen = [], set()
    for place, item in enumerate(items):
        key, value = _entry(table, place, _plain(item))
        if key in seen:
            raise TableError(f"table '{table.name}': '{key}' stands twice")
        seen.add(key)
        entries.append((key, value))
    return tuple(entries)


def _entry(table: Table, place: int, item: Any) -> tuple[str, Any]:
    key, value = key_type(table), value_type(table)
    if table.kind == "acl":
        content = _pick(table, value, item) if isinstance(value, Record) else {"value": value.parse(place)}
        return str(STEP * (place + 1)), {"match": {n: list(v) for n, v in item["match"].items()}, **content}
    if table.kind == "automaton":
        return str(place + 1), value.parse(item)
    if not isinstance(item, Mapping):
        try:
            return key_text(key, key.parse(item)), value.parse(place)
        except ValueError as error:
            raise TableError(f"table '{table.name}': entry {place + 1}: wanted {error}") from None
    content = {"index": place + 1, **item}
    if table.kind == "consistent_hash":
        return str(place + 1), _pick(table, value, content)
    return key_text(key, _pick(table, key, content)), _pick(table, value, content)


def _pick(table: Table, kind: Type, content: Mapping[str, Any]) -> Any:
    if not isinstance(kind, Record):
        names = [name for name in content if name != "index"]
        return kind.parse(content[names[0]] if len(names) == 1 else content["index"])
    picked = {}
    for name, type_ in kind.fields:
        given = content.get(name)
        if given is None:
            given = "::" if isinstance(type_, Ip) else 0 if isinstance(type_, Integer) else given
        try:
            picked[name] = type_.parse(given)
        except ValueError as error:
            raise TableError(f"table '{table.name}': '{name}': wanted {error}") from None
    return picked


def _plain(item: Any) -> Any:
    """A record parameter as a mapping, whether it is one or a frozen dataclass."""
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return {f.name: getattr(item, f.name) for f in dataclasses.fields(item)}
    return item


def _pairs(spelling: Any) -> Any:
    return [[name, kind] for name, kind in spelling.items()] if isinstance(spelling, Mapping) else spelling
