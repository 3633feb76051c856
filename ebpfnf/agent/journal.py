"""What a writer leaves beside the kernel: the lock of a deployment, and a note of what it is about to do.

Neither is believed when it contradicts the pins: the note only tells the next writer that one was cut off.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ebpfnf.agent import failpoints
from ebpfnf.errors import AgentError, Busy, PrivilegeError


def folder() -> Path:
    """Where locks and journals are; gone after a reboot, as the pins are."""
    return Path(os.environ.get("EBPFNF_RUN", "/run/ebpfnf"))


@contextlib.contextmanager
def locked(deployment: str) -> Iterator[None]:
    """Hold the deployment's lock; Busy names the process that holds it."""
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder() / f"{deployment}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError:
        raise PrivilegeError(f"no right to write {folder()}", cure="run as root") from None
    except OSError as error:
        raise AgentError(f"can't lock deployment '{deployment}': {error.strerror}", cure=f"make {folder()} writable") from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            raise Busy(f"deployment '{deployment}' is being changed by process {holder}", cure="wait until it is done") from None
        # Who holds it is only for the message above: on a full disk the lock holds all the same.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


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
