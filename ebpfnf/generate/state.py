"""The tables of stages: what the kernel must hold, what the C needs to know."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ebpfnf.errors import GenerateError, TableError, Where
from ebpfnf.generate.typed import CIdent, CInt
from ebpfnf.model import Fields, MapSpec, Stage, Table
from ebpfnf.names import c_identifier
from ebpfnf.tables.build import build
from ebpfnf.tables.layout import kernel_maps, key_type, value_type
from ebpfnf.tables.view import template_view


@dataclass(frozen=True, slots=True)
class Made:
    """The tables of one owner; names in C begin with `prefix`."""

    prefix: str
    tables: tuple[Table, ...]
    maps: tuple[MapSpec, ...]

    def views(self, ids: Mapping[str, int]) -> list[Any]:
        """What the template needs of each table, as values that may be printed."""
        return [_typed(template_view(table, self.prefix, ids)) for table in self.tables]

    @property
    def loops(self) -> tuple[str, ...]:
        """The functions that accessors hand to bpf_loop, as automaton.c.j2 and direct_sets.c.j2 call them."""
        machines = tuple(f"{self.prefix}_{table.name.rpartition('.')[2]}_chunk" for table in self.tables if table.kind == "automaton")
        return machines + tuple(f"{self.prefix}_{table.name.rpartition('.')[2]}_make" for table in self._sets)

    @property
    def making_words(self) -> int:
        """64-bit words of the largest struct <table>_making in direct_sets.c.j2."""
        sizes = ((key_type(table).size, value_type(table).size) for table in self._sets)
        return max((4 + -(-key // 8) + -(-value // 8) for key, value in sizes), default=0)

    @property
    def _sets(self) -> tuple[Table, ...]:
        """Directly addressed tables in which packets make entries."""
        return tuple(t for t in self.tables if t.backing == "direct" and t.filled_by == "packets" and t.kind in ("exact", "connections"))

    @property
    def aliases(self) -> tuple[str, ...]:
        """What a body calls without the prefix."""
        ids = {spec.name: 0 for spec in self.maps}
        return tuple(dict.fromkeys(name for table in self.tables for name in template_view(table, self.prefix, ids).aliases))


def made(stage: Stage, fields: Fields, mode: str = "auto", where: Where | None = None) -> Made:
    """A stage's tables, filled as its configuration says, which stands at `where` in the operator's file."""
    try:
        tables = tuple(build(spec, stage, fields, mode) for spec in stage.mnf.tables)
        return Made(c_identifier(stage.id), tables, tuple(m for table in tables for m in kernel_maps(table)))
    except TableError as error:
        raise GenerateError(error.what, error.where or where or stage.mnf.where, error.cure) from None


def _typed(value: Any) -> Any:
    """A view with every string as an identifier, so that nothing else can be printed."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _typed(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return tuple(_typed(item) for item in value)
    if isinstance(value, str):
        return CIdent(value) if value else ""
    return CInt(value)
