"""What a new generation takes over from the one that runs.

A table that an operator fills and that shall be what it is already is taken as it lies there: building it anew may take a second.
What packets made comes along where its table stands on another map from now on: one of another backing or size.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ebpfnf.agent import direct, observe, sets, tables
from ebpfnf.agent.manifest import Manifest
from ebpfnf.bundle import to_json
from ebpfnf.errors import AgentError
from ebpfnf.kernel import maps
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Pins
from ebpfnf.kernel.syscall import BpfError, possible_cpus
from ebpfnf.model import Table
from ebpfnf.tables.direct.place import stagger
from ebpfnf.tables.layout import value_type

_ZERO = bytes(4)


@dataclass(frozen=True)
class Old:
    """The generation that runs. `edited`: tables whose live entries are not those that its file said."""

    pins: Pins
    manifest: Manifest
    edited: Mapping[str, str]

    def fill(self, table: Table, new: Map, keep_entries: bool) -> bool:
        """Fill an operator's new table with the live entries if it shall have those; False where the file's are wanted instead."""
        old = next((t for t in self.manifest.tables if t.name == table.name), None)
        edited = table.name in self.edited
        if old is None or (edited and not keep_entries):
            return False
        same = to_json(dataclasses.replace(table, entries=())) == to_json(old)
        if not edited and not (same and self._said.get(table.name) == table.entries):
            return False
        with observe.open_table(self.pins, self.manifest, old) as live:
            if same and _taken(table, live, new):
                return True
            if not edited:
                return False
            if to_json((old.kind, old.key, old.value)) != to_json((table.kind, table.key, table.value)):
                raise AgentError(f"table '{table.name}' has another layout now: its live entries can't be kept", cure="--discard-entries")
            tables.fill(table, new, tuple(tables.dump(old, live)))
        return True

    def carry(self, was: Table, table: Table, new: Map, stats: Map | None) -> int:
        """Fill a table with what packets made in `was`; how many entries found no room. What an earlier generation left in it goes."""
        with observe.open_table(self.pins, self.manifest, was) as live:
            if table.kind in tables.COUNTS:
                _begin(table, new, tables.sums(was, live)[: table.size])
                return 0
            entries = list(tables.raw(was, live))
            if sets.is_shared(table):
                placed = sets.fill(table, new, entries)
            else:
                for key in list(new.keys()):
                    new.delete(key)
                placed = min(len(entries), table.size)
                new.update_many(entries[:placed])
        if stats:
            for index in range(stats.max_entries):
                stats.update(struct.pack("=I", index), [bytes(stats.value_size)] * possible_cpus())
            tables.note(stats, "created", placed)
        return len(entries) - placed

    @cached_property
    def _said(self) -> dict[str, Any]:
        return observe.file_entries(self.pins, self.manifest.generation)


def _taken(table: Table, live: Map, new: Map) -> bool:
    """Make a new table what another of the same layout is; False where that can't be."""
    if direct.is_direct(table):
        direct.Area(table, new).take(direct.Area(table, live))
    elif table.kind in tables.BLOBS:
        try:
            with Map(maps.open_id(tables.blob_id(table, live))) as inner:
                new.update(_ZERO, struct.pack("=I", inner.fd))  # both have it: it is never changed, only replaced
        except BpfError:  # of another capacity, or only root may open it
            return False
    else:
        new.update_many(live.items())
    return True


def _begin(table: Table, live: Map, values: list[Any]) -> None:
    """Let a new counter or histogram begin with these sums, on the first CPU."""
    kind = value_type(table)
    encoded = [kind.encode(value) for value in values]
    if table.backing == "direct":
        at = stagger(table)
        live.memory(at, at + kind.size * len(encoded))[:] = b"".join(encoded)
        return
    others = [bytes(kind.size)] * (possible_cpus() - 1)
    for index, first in enumerate(encoded):
        live.update(struct.pack("=I", index), [first, *others] if live.per_cpu else first)
