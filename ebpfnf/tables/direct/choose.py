"""Which tables are addressed directly, and how much room they get: decided once, when a table is built from its file's entries."""

from __future__ import annotations

import dataclasses
import platform

from ebpfnf.errors import TableError
from ebpfnf.model import Table
from ebpfnf.tables import acl, maglev
from ebpfnf.tables.direct import exact, prefix, rules, shape
from ebpfnf.tables.direct.place import LARGEST, up
from ebpfnf.tables.layout import acl_rule, encode_key, kernel_map, key_type, layout_digest, value_type
from ebpfnf.tables.text import parse_key
from ebpfnf.tables.types import Record

MODES = ("auto", "kernel", "direct")


def chosen(table: Table, mode: str) -> Table:
    """The table with what shall stand behind it. `auto`: direct where that fits; `direct`: TableError where it does not."""
    if mode == "kernel" or table.kind == "automaton":  # one look-up serves all bytes of a packet
        return table
    direct, why = _direct(table)
    if not why and kernel_map(direct).value_size > LARGEST:
        why = f"it would take more than {LARGEST >> 20} MiB"
    if not why:
        return dataclasses.replace(direct, layout=layout_digest(direct))
    if mode == "direct":
        raise TableError(f"table '{table.name}' can't be addressed directly: {why}", cure="'tables: auto', or a smaller size")
    return table


def rows_of(table: Table) -> dict[bytes, bytes]:
    """The entries of a prefix or exact table, encoded."""
    key, value = key_type(table), value_type(table)
    return {encode_key(table, parse_key(key, text)): value.encode(content) for text, content in table.entries}


def acl_rows(table: Table) -> list[acl.Row]:
    """The rules of an acl, in the order of their numbers."""
    layout, value, rows = shape.acl_layout(table), value_type(table), []
    for number, entry in table.entries:
        rule, rest = acl_rule(entry)
        rows.append(acl.make_row(layout, value, int(number), rule, rest if isinstance(value, Record) else rest["value"]))
    return sorted(rows, key=lambda row: row.number)


def _direct(table: Table) -> tuple[Table, str]:
    """The table as it would be, and why it can't."""
    made, value = dataclasses.replace(table, backing="direct"), value_type(table)
    if table.filled_by == "packets":
        shared = table.kind in ("exact", "connections") and platform.machine() != "x86_64"
        return made, "what CPUs share there relies on the order of x86's stores" if shared else ""
    match table.kind:
        case "prefix":
            used = len(prefix.build(made, value.size, rows_of(table)))
            return dataclasses.replace(made, room=prefix.room(table, used)), ""
        case "exact":
            return dataclasses.replace(made, room=exact.half_size(table, key_type(table).size, value.size)), ""
        case "consistent_hash":
            return dataclasses.replace(made, room=up(maglev.blob_size(table.size, value), 64)), ""
        case "acl":
            return _acl(made)
    return made, f"nothing is known of kind '{table.kind}'"


def _acl(table: Table) -> tuple[Table, str]:
    """Few rules are compared one by one, as in a kernel map; many have a large part, with room for a quarter more."""
    layout, rows = shape.acl_layout(table), acl_rows(table)
    if sum(acl.combinations(layout, row) for row in rows) <= rules.FEW:
        return table, ""
    if not rules.fits(layout):
        return table, "a field of 32 bits is matched"
    terms = sum(len(acl.terms(layout, row)) for row in rows)
    if terms > table.size:
        return table, f"its {len(rows)} rules take {terms} places, it has {table.size}"
    many = terms + terms // 4 > rules.ONE_WORD
    slots = min(up(table.size, 64), up(terms + terms // 4 + rules.CHANGED, 1024) if many else rules.ONE_WORD)
    used = len(rules.build(layout, slots, rows))
    return dataclasses.replace(table, slots=slots, room=up(used + used // 4, 64)), ""
