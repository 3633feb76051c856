"""Many rules changed live: their large part is made anew by a process of its own, while further changes go on beside it.

Nobody waits for that process, and nothing is lost with it: it changes the table at the very end, in one step under the deployment's
lock. The new large part is written before, piece by piece, so that a change which meets it waits for a piece and not for the whole.
Where rules changed since it began, they are dead in the new large part and stand in the small one.
"""

from __future__ import annotations

import _thread
import os
import time

from ebpfnf.agent import direct, journal
from ebpfnf.kernel import probe
from ebpfnf.kernel.maps import Map
from ebpfnf.model import Table
from ebpfnf.tables import acl
from ebpfnf.tables.direct import rules, shape

_STREAMS = (0, 1, 2)
_PIECE = 1 << 20  # bytes
_WAY = 0.005  # seconds in which others come by the lock: they look each millisecond


def begin(deployment: str, table: Table, live: Map) -> None:
    """Where enough rules stand in the small part, and nobody is at it. For who holds the deployment's lock and has changed the table."""
    if not (table.kind == "acl" and direct.is_direct(table) and table.slots):
        return
    area = direct.Area(table, live)
    state, made = area.filled(), area.made()
    small = area.small(state)
    if acl.used(small) <= rules.FOLDED:
        return
    name = journal.folding(deployment)
    lock = journal.take(name)
    if lock is None:
        return
    child = os.fork()
    if child:
        os.close(lock)  # the child holds it
        _thread.start_new_thread(os.waitpid, (child, 0))  # who ends before has no child to wait for
        return
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in _STREAMS:  # whoever waits for the end of our caller's output gets it
            os.dup2(nowhere, stream)
        _fold(deployment, area, state, small, made)
        journal.discard(name)
    finally:
        os._exit(0)


def _fold(deployment: str, area: direct.Area, state: int, small: bytes, made: int) -> None:
    probe.grace()  # from now on nobody looks at the other half
    old = rules.index(area.half(state))
    then, alive = area.rules(small), area.alive(small)
    before = {**area.large(state, alive), **{row.number: row for row in then}}
    ordered = [row for _, row in sorted(before.items())]
    half, places = direct.half(area.table, {}, ordered), rules.places(shape.acl_layout(area.table), ordered)
    new = rules.terms_of(places)
    for start in range(0, len(half), _PIECE):
        with journal.locked(deployment):
            if not area.untouched(state, made):
                return  # another has made all anew
            made = area.lay(state, half[start : start + _PIECE], start)
        time.sleep(_WAY)
    with journal.locked(deployment):
        if not area.untouched(state, made):
            return
        state = area.filled()
        part = area.small(state)
        rest = area.rules(part)
        stays = {row.number for row in rest if before.get(row.number) == row}
        dead = alive & ~area.alive(part)
        gone = {row.number for row in then} | {number for number, place in old.items() if place.among(dead)}
        new &= ~sum(places[number].bits for number in gone - stays)
        area.turn(state, b"", area.small_part([row for row in rest if row.number not in stays], new))
