"""How large a direct table is: its map, its small part, the slot of a CPU."""

from __future__ import annotations

from ebpfnf.model import Table
from ebpfnf.tables import acl
from ebpfnf.tables.direct import rules
from ebpfnf.tables.direct.place import HEADER, LINE, stagger, up
from ebpfnf.tables.match import match_fields
from ebpfnf.tables.types import Type

ALONE = 64  # records of the small part where an acl has no large one, or one of one word


def acl_layout(table: Table) -> acl.Layout:
    """How the records of an acl lie."""
    return acl.layout_of(match_fields(table.key))


def small_records(table: Table) -> int:
    """How many records the small part of an acl holds."""
    return rules.CHANGED if table.slots > rules.ONE_WORD else min(table.size, ALONE)


def alive_at(table: Table, value: Type) -> int:
    """Where in the small part a bit for each term of the large part says whether it still counts."""
    return up(acl_layout(table).blob_size(small_records(table), value), 8)


def small_size(table: Table, value: Type) -> int:
    """Bytes of a small part; 0 where the kind has none."""
    return up(alive_at(table, value) + table.slots // 8, LINE) if table.kind == "acl" else 0


def halves_at(table: Table, value: Type) -> int:
    """Where, behind the table's beginning, the halves begin."""
    return HEADER + 2 * small_size(table, value)


def map_size(table: Table, value: Type) -> int:
    """Bytes of the value of the map behind a table that an operator fills."""
    return stagger(table) + halves_at(table, value) + 2 * table.room


def slot(table: Table, value: Type) -> int:
    """Bytes of a counter or histogram: of each CPU's slot, with the offset at which it begins, or of the one that all share."""
    return stagger(table) + up(table.size * value.size, LINE)
