"""What a writer leaves beside the kernel: the lock of a deployment, and a note of what it is about to do.

Neither is believed when it contradicts the pins: the note only tells the next writer that one was cut off.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ebpfnf.agent import failpoints
from ebpfnf.errors import AgentError, Busy, PrivilegeError
from ebpfnf.kernel import pins

_PATIENCE = 0.3  # seconds: changes of one entry are that short
_held = set[int]()


def folder() -> Path:
    """Where locks and journals are; gone after a reboot, as the pins are."""
    return Path(os.environ.get("EBPFNF_RUN", "/run/ebpfnf"))


@contextlib.contextmanager
def locked(deployment: str, patient: bool = False) -> Iterator[None]:
    """Hold the deployment's lock; Busy names the process that holds it. Where nothing is deployed afterwards the lock's file goes too.

    `patient`: for who has all the time, but must come in between others that take it over and over: the kernel wakes it when one lets go.
    """
    until = time.monotonic() + _PATIENCE
    while (fd := take(deployment, patient)) is None:
        if time.monotonic() > until:
            holder = ""
            with contextlib.suppress(OSError):
                holder = (folder() / f"{deployment}.lock").read_text(errors="replace").strip()
            raise Busy(f"deployment '{deployment}' is being changed by process {holder or 'unknown'}", cure="wait until it is done")
        time.sleep(_PATIENCE / 300)
    _held.add(fd)
    try:
        # Who holds it is only for the message above: on a full disk the lock holds all the same.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        if not pins.exists(pins.Pins(deployment).directory):
            discard(deployment)
            discard(folding(deployment))  # of one that was killed
        fcntl.flock(fd, fcntl.LOCK_UN)  # a process that was forked meanwhile has the fd too
        _held.discard(fd)
        os.close(fd)


def let_go() -> None:
    """For a process that was forked: what its parent holds stays the parent's, and is free when that is killed."""
    while _held:
        os.close(_held.pop())


def take(name: str, patient: bool = False) -> int | None:
    """The fd that holds the lock of that name; None where another process has it, or `patient`, when that lets go."""
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            fd = os.open(path := folder() / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | (0 if patient else fcntl.LOCK_NB))
                if os.path.samestat(os.fstat(fd), os.stat(path)):
                    return fd
            except BlockingIOError:
                os.close(fd)
                return None
            except FileNotFoundError:
                pass
            os.close(fd)  # who had it before removed its file: another may have made it anew
    except PermissionError:
        raise PrivilegeError(f"no right to write {folder()}", cure="run as root") from None
    except OSError as error:
        raise AgentError(f"can't lock deployment '{name}': {error.strerror}", cure=f"make {folder()} writable") from None


def folding(deployment: str) -> str:
    """The name of the lock of who makes a large part anew (fold.py)."""
    return f"{deployment}.fold"


def discard(name: str) -> None:
    """Remove the file of a lock that is held: whoever waits for it sees that and makes another."""
    with contextlib.suppress(OSError):
        os.unlink(folder() / f"{name}.lock")


def cut_off(deployment: str) -> str:
    """What a writer was doing that is no more; empty when there is none, or no note that can be read."""
    try:
        note = json.loads((folder() / f"{deployment}.journal").read_bytes())
        return "" if os.path.exists(f"/proc/{int(note['pid'])}") else str(note["what"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def write(deployment: str, what: str) -> None:
    """Leave a note of what this process is about to do, whole or not at all."""
    path, temporary = folder() / f"{deployment}.journal", folder() / f"{deployment}.journal.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(json.dumps({"what": what, "pid": os.getpid()}).encode())
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
        _sync_folder()
        failpoints.hit("journal-written")
    except OSError as error:
        remove(deployment)
        raise AgentError(f"can't write the journal: {error.strerror}", cure=f"free some space for {folder()}") from None


def remove(deployment: str) -> None:
    """All is done: the note goes."""
    for suffix in (".journal", ".journal.tmp"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder() / (deployment + suffix))
    failpoints.hit("journal-gone")


def _sync_folder() -> None:
    fd = os.open(folder(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
