"""Network namespaces by name, as iproute2 keeps them, without its `exec`: that one mounts a new /sys and hides bpffs."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ebpfnf.errors import AgentError, EbpfnfError, PrivilegeError

FOLDER = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED, _MNT_DETACH = 0x1000, 0x4000, 1 << 20, 2
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result == 0:
        return
    number = ctypes.get_errno()
    if number == 1:  # EPERM
        raise PrivilegeError(f"{what}: not permitted", cure="run as root")
    raise AgentError(f"{what}: {os.strerror(number).lower()}")


def _mount(source: bytes, target: Path, flags: int) -> int:
    return int(_libc.mount(source, bytes(target), b"none", flags, None))


def names() -> tuple[str, ...]:
    """All named namespaces of the machine."""
    return tuple(sorted(os.listdir(FOLDER))) if FOLDER.is_dir() else ()


def create(name: str) -> None:
    """Makes the namespace `name`; AgentError when there is one already."""
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        # shared, so that a namespace removed here is not kept alive by another mount namespace's copy
        if _mount(b"", FOLDER, _MS_SHARED | _MS_REC):
            _check(_mount(bytes(FOLDER), FOLDER, _MS_BIND | _MS_REC), f"mounting '{FOLDER}'")
            _check(_mount(b"", FOLDER, _MS_SHARED | _MS_REC), f"sharing '{FOLDER}'")
        os.close(os.open(FOLDER / name, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0))
    except FileExistsError:
        raise AgentError(f"namespace '{name}' exists", cure=f"ip netns del {name}") from None
    except PermissionError:
        raise PrivilegeError(f"namespace '{name}' can't be made", cure="run as root") from None
    failed: list[EbpfnfError] = []

    def work() -> None:
        # in a thread of its own, which ends: the caller stays where it is
        try:
            _check(_libc.unshare(_CLONE_NEWNET), f"namespace '{name}'")
            _check(_mount(b"/proc/thread-self/ns/net", FOLDER / name, _MS_BIND), f"namespace '{name}'")
        except EbpfnfError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        os.unlink(FOLDER / name)
        raise failed[0]


def number(name: str) -> int:
    """What the kernel calls it: once it is gone another may have the number."""
    return os.stat(FOLDER / name).st_ino


def remove(name: str) -> None:
    """Removes the namespace `name` where there is one; its interfaces go when its last process has gone."""
    _libc.umount2(bytes(FOLDER / name), _MNT_DETACH)
    (FOLDER / name).unlink(missing_ok=True)


@contextmanager
def entered(name: str) -> Iterator[None]:
    """The calling thread, and what it starts, is in that network namespace; mounts (bpffs) stay as they are."""
    try:
        there = os.open(FOLDER / name, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise AgentError(f"no namespace '{name}'", cure="is the lab up? ebpfnf lab status") from None
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(there, _CLONE_NEWNET), f"entering '{name}'")
        try:
            yield
        finally:
            _check(_libc.setns(here, _CLONE_NEWNET), "leaving a namespace")
    finally:
        os.close(there)
        os.close(here)
