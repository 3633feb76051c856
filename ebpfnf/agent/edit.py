"""Tables of the live generation, read and changed entry by entry while packets run."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ebpfnf.agent import journal, tables
from ebpfnf.agent.observe import observe, open_table
from ebpfnf.errors import AgentError, TableError
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Pins
from ebpfnf.model import Table


def get(deployment: str, table: str, key: Any) -> Any:
    """The entry's value; None where there is none."""
    with _live(deployment, table) as (found, live):
        return tables.get(found, live, key)


def dump(deployment: str, table: str) -> Any:
    """All entries."""
    with _live(deployment, table) as (found, live):
        return [[key, value] for key, value in tables.dump(found, live)]


def put(deployment: str, table: str, key: Any, value: Any) -> Any:
    """Add or overwrite an entry, whole: a packet sees it as it was or as it is."""
    with journal.locked(deployment), _live(deployment, table) as (found, live):
        return tables.set(found, live, key, value)


def delete(deployment: str, table: str, key: Any) -> Any:
    """Remove an entry."""
    with journal.locked(deployment), _live(deployment, table) as (found, live):
        return tables.delete(found, live, key)


@contextmanager
def _live(deployment: str, name: str) -> Iterator[tuple[Table, Map]]:
    running = observe(deployment).running
    if running is None or running.manifest is None:
        raise AgentError(f"deployment '{deployment}' does not run here", cure="deploy it")
    found = {table.name: table for table in running.manifest.tables}
    if name not in found:
        near = difflib.get_close_matches(name, found, 1, 0.4)
        raise TableError(f"no table '{name}' in deployment '{deployment}'", cure=f"did you mean '{near[0]}'?" if near else "")
    with open_table(Pins(deployment), running.manifest, found[name]) as live:
        yield found[name], live
