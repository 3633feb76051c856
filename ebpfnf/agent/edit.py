"""Tables of the live generation, read and changed entry by entry while packets run."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ebpfnf.agent import flow_cache, fold, journal, tables
from ebpfnf.agent.manifest import Manifest
from ebpfnf.agent.observe import open_statistics, open_table, read_live
from ebpfnf.errors import AgentError, TableError
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Pins
from ebpfnf.model import Table


@dataclass(frozen=True, slots=True)
class _Live:
    """A table of the live generation, its map, and the map that counts what packets did to it."""

    at: Pins
    manifest: Manifest
    table: Table
    entries: Map
    statistics: Map | None


def get(deployment: str, table: str, key: Any) -> Any:
    """The entry's value; None where there is none."""
    with _live(deployment, table) as live:
        return tables.get(live.table, live.entries, key)


def dump(deployment: str, table: str) -> list[list[Any]]:
    """All entries, as [key, value]."""
    with _live(deployment, table) as live:
        return [[key, value] for key, value in tables.dump(live.table, live.entries)]


def put(deployment: str, table: str, key: Any, value: Any) -> None:
    """Add or overwrite an entry, whole: a packet sees it as it was or as it is."""
    with journal.locked(deployment), _live(deployment, table) as live:
        with flow_cache.forgotten(live.at, live.manifest):
            tables.set(live.table, live.entries, key, value, live.statistics)
        fold.begin(deployment, live.table, live.entries)


def delete(deployment: str, table: str, key: Any) -> bool:
    """Remove an entry; False where there was none."""
    with journal.locked(deployment), _live(deployment, table) as live:
        with flow_cache.forgotten(live.at, live.manifest):
            there = tables.delete(live.table, live.entries, key, live.statistics)
        fold.begin(deployment, live.table, live.entries)
        return there


@contextmanager
def _live(deployment: str, name: str) -> Iterator[_Live]:
    at = Pins(deployment)
    manifest = read_live(at)
    if manifest is None:
        raise AgentError(f"deployment '{deployment}' does not run here", cure="deploy it")
    found = {table.name: table for table in manifest.tables}
    if name not in found:
        near = difflib.get_close_matches(name, found, 1, 0.4)
        raise TableError(f"no table '{name}' in deployment '{deployment}'", cure=f"did you mean '{near[0]}'?" if near else "")
    table = found[name]
    with open_table(at, manifest, table) as entries, contextlib.ExitStack() as also:
        statistics = open_statistics(at, manifest, table)
        yield _Live(at, manifest, table, entries, also.enter_context(statistics) if statistics else None)
