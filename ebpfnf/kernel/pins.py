"""Pins: what keeps a deployment alive when no process of ours runs. The only place that knows where they are.

    <base>/<deployment>/root, ingress, resume, taps/<tap>, ports/<port>/{link,root_prog}, state/<name>,
                        gen-<n>/{chain,meta,const,ports,manifest,entries,tables/<name>,prog/<segment>}

A generation is built in tmp-gen-<n> and renamed when it is whole. EBPFNF_BPFFS names another bpffs mount.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import struct
from dataclasses import dataclass

from ebpfnf.kernel.syscall import BpfError, Command, address, bpf

_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")  # bpffs refuses dots; longer names than 255 bytes no file system has
_GENERATION = re.compile(r"gen-([1-9][0-9]{0,8})\Z")
_TEMPORARY = re.compile(r"tmp-gen-([1-9][0-9]{0,8})\Z")


def mount() -> str:
    """Where the bpffs is that pins are in."""
    return os.environ.get("EBPFNF_BPFFS", "/sys/fs/bpf")


def base() -> str:
    """The folder of all deployments."""
    return os.path.join(mount(), "ebpfnf")


def mounted() -> bool:
    """Is there a bpffs at `mount()`?"""
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
        return any(line.split()[1] == os.path.realpath(mount()) and line.split()[2] == "bpf" for line in mounts)


def deployments() -> list[str]:
    """Names of the deployments that have pins on this machine, sorted."""
    return _listing(base())


def pin(fd: int, path: str) -> None:
    """Pin a map, program or link; the folders above it are made, for root only. BpfError EEXIST where something is."""
    _make(os.path.dirname(path))
    name = bytearray(os.fsencode(path) + b"\0")
    bpf(Command.OBJ_PIN, bytearray(struct.pack("=QII", address(name), fd, 0)))


def get(path: str) -> int:
    """An fd of what is pinned at `path`; BpfError ENOENT where nothing is."""
    name = bytearray(os.fsencode(path) + b"\0")
    return bpf(Command.OBJ_GET, bytearray(struct.pack("=QII", address(name), 0, 0)))


def find(path: str) -> int | None:
    """`get`, or None where nothing is pinned."""
    try:
        return get(path)
    except BpfError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def exists(path: str) -> bool:
    """Is something at `path`?"""
    return os.path.lexists(path)


def unpin(path: str) -> None:
    """Remove a pin, if it is there. What nothing else holds goes with it: a link detaches, a prog array is emptied."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@dataclass(frozen=True, slots=True)
class Generation:
    """Paths of one generation, or of one that is being built."""

    directory: str

    @property
    def chain(self) -> str:
        return f"{self.directory}/chain"

    @property
    def meta(self) -> str:
        return f"{self.directory}/meta"

    @property
    def const(self) -> str:
        return f"{self.directory}/const"

    @property
    def ports(self) -> str:
        return f"{self.directory}/ports"

    @property
    def manifest(self) -> str:
        return f"{self.directory}/manifest"

    @property
    def entries(self) -> str:
        return f"{self.directory}/entries"

    @property
    def vms(self) -> str:
        return f"{self.directory}/vms"

    @property
    def vm_state(self) -> str:
        return f"{self.directory}/vm_state"

    @property
    def vm_windows(self) -> str:
        return f"{self.directory}/vm_windows"

    @property
    def beside(self) -> str:
        """The rings of copies, where something stands beside the path."""
        return f"{self.directory}/beside"

    @property
    def machines(self) -> str:
        return f"{self.directory}/machines"

    def table(self, name: str) -> str:
        return f"{self.directory}/tables/{checked(name)}"

    def program(self, segment: int) -> str:
        return f"{self.directory}/prog/{segment}"

    def tables(self) -> list[str]:
        """Names of the pinned tables, sorted."""
        return _listing(f"{self.directory}/tables")

    def programs(self) -> list[int]:
        """Segments whose program is pinned, sorted."""
        return sorted(int(name) for name in _listing(f"{self.directory}/prog") if name.isdecimal())


@dataclass(frozen=True, slots=True)
class Pins:
    """Paths of one deployment, and what is at them."""

    deployment: str

    def __post_init__(self) -> None:
        checked(self.deployment)

    @property
    def directory(self) -> str:
        return os.path.join(base(), self.deployment)

    @property
    def root(self) -> str:
        return f"{self.directory}/root"

    @property
    def ingress(self) -> str:
        return f"{self.directory}/ingress"

    @property
    def resume(self) -> str:
        """Of deployments with VMs: generation -> the program that takes back what comes from them."""
        return f"{self.directory}/resume"

    def tap(self, tap: str) -> str:
        return f"{self.directory}/taps/{checked(tap)}"

    def taps(self) -> list[str]:
        """Taps that have pins, sorted."""
        return _listing(f"{self.directory}/taps")

    def port(self, port: str) -> str:
        return f"{self.directory}/ports/{checked(port)}"

    def link(self, port: str) -> str:
        return f"{self.port(port)}/link"

    def root_program(self, port: str) -> str:
        return f"{self.port(port)}/root_prog"

    def state(self, name: str) -> str:
        return f"{self.directory}/state/{checked(name)}"

    def generation(self, number: int) -> Generation:
        return Generation(f"{self.directory}/gen-{number}")

    def temporary(self, number: int) -> Generation:
        return Generation(f"{self.directory}/tmp-gen-{number}")

    def ports(self) -> list[str]:
        """Ports that have pins, sorted."""
        return _listing(f"{self.directory}/ports")

    def states(self) -> list[str]:
        """Names of the pinned state maps, sorted."""
        return _listing(f"{self.directory}/state")

    def generations(self) -> list[int]:
        """Numbers of the whole generations, sorted."""
        return _numbers(self.directory, _GENERATION)

    def temporaries(self) -> list[int]:
        """Numbers of generations that were begun and not finished, sorted."""
        return _numbers(self.directory, _TEMPORARY)

    def commit(self, number: int) -> None:
        """The generation that was built in `temporary(number)` is whole: give it its name, in one step."""
        os.rename(self.temporary(number).directory, self.generation(number).directory)


def remove(directory: str) -> None:
    """Remove a folder of pins with all that is in it, if it is there. Its prog arrays are emptied: it must no longer be live."""
    if not directory.startswith(base() + os.sep):
        raise ValueError(f"a folder under {base()} is wanted, not {directory}")
    for folder, inner, files in os.walk(directory, topdown=False):
        for name in files:
            unpin(os.path.join(folder, name))
        for name in inner:
            os.rmdir(os.path.join(folder, name))
    if os.path.isdir(directory):
        os.rmdir(directory)


def checked(name: str) -> str:
    """`name` if bpffs and a shell can have it as one path element; ValueError says what was wanted."""
    if not _NAME.match(name):
        raise ValueError(f"pin '{name}': letters, digits, '_' and '-' are wanted")
    return name


def _make(directory: str) -> None:
    if not os.path.isdir(directory):
        _make(os.path.dirname(directory))
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o700)


def _listing(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _numbers(directory: str, pattern: re.Pattern[str]) -> list[int]:
    return sorted(int(match[1]) for match in map(pattern.match, _listing(directory)) if match)
