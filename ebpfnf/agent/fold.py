"""Many rules changed live: their large part is made anew by a process of its own, while further changes go on beside it.

Nobody waits for that process, and nothing is lost with it: it changes the table at the very end, in one step under the deployment's
lock. The new large part is written before, piece by piece, so that a change which meets it waits for a piece and not for the whole.
Where rules changed since it began, they are dead in the new large part and stand in the small one.
"""

from __future__ import annotations

import _thread
import contextlib
import gc
import os
import time
from collections.abc import Iterator

from ebpfnf.agent import direct, journal
from ebpfnf.kernel import probe
from ebpfnf.kernel.maps import Map
from ebpfnf.model import Table
from ebpfnf.tables import acl
from ebpfnf.tables.direct import rules

_STREAMS = (0, 1, 2)
_PIECE = 4 << 20  # bytes: two milliseconds
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
        journal.let_go()
        gc.disable()  # it would go through all that the caller has, and copy its pages
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in _STREAMS:  # whoever waits for the end of our caller's output gets it
            os.dup2(nowhere, stream)
        _fold(deployment, area, state, small, made)
        journal.discard(name)
    finally:
        os._exit(0)


def _fold(deployment: str, area: direct.Area, state: int, small: bytes, made: int) -> None:
    probe.grace()  # from now on nobody looks at the other half
    with _as_others():
        then, alive = {row.number: row for row in area.packed(small)}, area.alive(small)
        old = {place.first: number for number, place in rules.index(area.half(state)).items() if place.terms}
        ordered = [row for _, row in sorted({**area.large(state, alive), **{row.number: row for row in area.rules(small)}}.items())]
        half = direct.half(area.table, {}, ordered)
        places = rules.index(memoryview(half))
        new = rules.terms_of(places)
    for start in range(0, len(half), _PIECE):
        with journal.locked(deployment, patient=True):
            if not area.untouched(state, made):
                return  # another has made all anew
            made = area.lay(state, half[start : start + _PIECE], start)
        time.sleep(_WAY)
    with journal.locked(deployment, patient=True):
        if not area.untouched(state, made):
            return
        state = area.filled()
        part = area.small(state)
        rest = area.packed(part)
        stays = {row.number for row in rest if then.get(row.number) == row}
        gone = {*then, *(old[term] for term in _bits(alive & ~area.alive(part)) if term in old)}
        new &= ~sum(places[number].bits for number in gone - stays)
        area.turn(state, b"", area.small_part_of([row for row in rest if row.number not in stays], new))


@contextlib.contextmanager
def _as_others() -> Iterator[None]:
    """A caller that is real-time makes us so; half a second of that would keep the kernel's grace periods from ending."""
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    if policy not in (os.SCHED_FIFO, os.SCHED_RR):
        yield
        return
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    yield
    with contextlib.suppress(PermissionError):  # who waits for a lock in our hands must not wait for all others
        os.sched_setscheduler(0, policy, priority)


def _bits(terms: int) -> Iterator[int]:
    """Which bits a number has."""
    while terms:
        yield (terms & -terms).bit_length() - 1
        terms &= terms - 1
