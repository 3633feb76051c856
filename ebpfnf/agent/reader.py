"""The reader of copies: it lets the mNFs that stand beside the path work them off, on whichever CPU it runs.

All there is to know is in the generation's maps: copies wait there while nobody reads, and who reads next goes on where the last one ended.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from ebpfnf.agent import journal
from ebpfnf.errors import Busy, EbpfnfError
from ebpfnf.kernel import pins
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Generation, Pins
from ebpfnf.kernel.programs import Runner
from ebpfnf.kernel.syscall import BpfError, cpu_slots
from ebpfnf.model import COPY_BYTES

_KEY = bytes(4)
_FRAME = bytes(COPY_BYTES)  # where the program puts the copied bytes
_BATCH = 512  # runs a call, each of which takes a copy or finds one ring empty
_LOOK = 0.05  # seconds between two looks at which generations there are
_REST = 0.001  # ... for which an idle reader sleeps: a ring holds what comes meanwhile
_PATIENCE = 2.0  # ... after which a reader that doesn't read is taken for dead
_RING = struct.Struct("=Q56xQ56x")  # struct ring in beside.h: put, taken


def read(runner: Runner, runs: int = _BATCH) -> bool:
    """Work off copies; whether there may be more. With a run for each CPU it is enough to find out."""
    try:
        return runner.run(_FRAME, runs) < cpu_slots()
    except BpfError as error:
        if error.errno == errno.EINTR:
            return True
        raise


def look(runner: Runner) -> bool:
    """Take one copy, if any waits; whether one did. Single runs: for several the kernel changes its dispatcher, in milliseconds."""
    return any(runner.run(_FRAME) == 0 for _ in range(cpu_slots()))


def waiting(paths: Generation) -> int:
    """Copies in a generation that nobody has read yet; none where nothing stands beside the path."""
    fd = pins.find(paths.beside)
    if fd is None:
        return 0
    with Map(fd) as found:
        return sum(put - taken for put, taken in _RING.iter_unpack(found.lookup(_KEY) or b""))


def drain(at: Pins, number: int) -> None:
    """What still waits in a generation that no packet enters any more: its reader does it, or where there is none, we do."""
    paths, until = at.generation(number), time.monotonic() + _PATIENCE
    while waiting(paths):
        fd = journal.take(_lock(at.deployment))
        if fd is None and time.monotonic() < until:
            time.sleep(_REST)
            continue
        try:
            with _open(paths) as runner:
                while read(runner):
                    pass
        finally:
            if fd is not None:
                journal.discard(_lock(at.deployment))
                os.close(fd)


def start(deployment: str) -> int:
    """A process that reads for as long as this one lives and something stands beside the path; 0 where nothing does."""
    if not _besides(Pins(deployment)):
        return 0
    parent = os.getpid()
    child = os.fork()
    if not child:
        with contextlib.suppress(OSError, EbpfnfError):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends by our parent
            run(deployment, lambda: os.getppid() != parent)
        os._exit(0)
    return child


def run(deployment: str, ended: Callable[[], bool] = lambda: False) -> None:
    """Read the copies of all generations, until `ended` or there are none. Busy where another process reads."""
    at = Pins(deployment)
    fd = journal.take(_lock(deployment))
    if fd is None:
        raise Busy(f"the copies of deployment '{deployment}' are read by another process")
    try:
        while not ended() and (generations := _besides(at)):
            try:
                _read(generations)
            except OSError as error:
                if error.errno != errno.ENOENT:  # one has gone
                    raise
    finally:
        journal.discard(_lock(deployment))
        os.close(fd)


def _read(generations: list[Generation]) -> None:
    """For a moment. One that goes meanwhile is still read; one that comes is read from the next moment on."""
    until = time.monotonic() + _LOOK
    with ExitStack() as stack:
        busy = {stack.enter_context(_open(paths)): False for paths in generations}
        while time.monotonic() < until:
            busy = {runner: read(runner) if more else look(runner) for runner, more in busy.items()}
            if not any(busy.values()):
                time.sleep(_REST)


def _besides(at: Pins) -> list[Generation]:
    """Generations in which something stands beside the path."""
    return [paths for paths in map(at.generation, at.generations()) if pins.exists(paths.beside)]


@contextmanager
def _open(paths: Generation) -> Iterator[Runner]:
    fd = pins.get(paths.program(max(paths.programs(), default=0)))
    try:
        yield Runner(fd, COPY_BYTES)
    finally:
        os.close(fd)


def _lock(deployment: str) -> str:
    return f"{deployment}.reader"
