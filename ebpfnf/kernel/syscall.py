"""The bpf and membarrier system calls through ctypes."""

from __future__ import annotations

import ctypes
import os
import struct
from enum import IntEnum
from functools import cache

# machine -> (bpf, membarrier), from each architecture's unistd.h
_NUMBERS = {
    "x86_64": (321, 324),
    "aarch64": (280, 283),
    "riscv64": (280, 283),
    "loongarch64": (280, 283),
    "armv7l": (386, 389),
    "s390x": (351, 356),
    "ppc64le": (361, 365),
}

_BPF, _MEMBARRIER = _NUMBERS.get(os.uname().machine, (-1, -1))  # -1 elsewhere: the kernel answers ENOSYS

_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_ulong)


class Command(IntEnum):
    """enum bpf_cmd, as far as it is used here."""

    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    MAP_DELETE_ELEM = 3
    MAP_GET_NEXT_KEY = 4
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_TEST_RUN = 10
    PROG_GET_FD_BY_ID = 13
    MAP_GET_FD_BY_ID = 14
    OBJ_GET_INFO_BY_FD = 15
    BTF_LOAD = 18
    MAP_FREEZE = 22
    MAP_LOOKUP_BATCH = 24
    MAP_UPDATE_BATCH = 26
    LINK_CREATE = 28
    LINK_UPDATE = 29
    LINK_DETACH = 34


class BpfError(OSError):
    """A refused system call; `errno` says why."""


def bpf(command: int, attr: bytearray) -> int:
    """bpf(2): what it returns; the kernel's answers stand in `attr` afterwards. BpfError where it is refused."""
    return bpf_at(command, address(attr), len(attr))


def bpf_at(command: int, where: int, size: int) -> int:
    """`bpf` on memory that the caller keeps: for calls in a loop."""
    result = int(_syscall(_BPF, command, where, size))
    if result < 0:
        raise _error(f"bpf {Command(command).name.lower()}")
    return result


def membarrier(command: int) -> int:
    """membarrier(2) without flags; BpfError where it is refused."""
    result = int(_syscall(_MEMBARRIER, command, None, 0))
    if result < 0:
        raise _error("membarrier")
    return result


def enter_new_netns() -> None:
    """Put the calling thread into a new, empty network namespace."""
    if _libc.unshare(_CLONE_NEWNET):
        raise _error("unshare")


def address(buffer: bytearray) -> int:
    """Where the bytes of `buffer` are, valid as long as it lives and keeps its length."""
    return ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer))


def info(fd: int, size: int) -> bytearray:
    """What the kernel says about the map, program or link `fd`: `size` bytes, zero where this kernel knows less."""
    answer = bytearray(size)
    bpf(Command.OBJ_GET_INFO_BY_FD, bytearray(struct.pack("=IIQ", fd, size, address(answer))))
    return answer


@cache  # the kernel's answer never changes, and who reads copies asks at each packet
def possible_cpus() -> int:
    """How many values a per-CPU map has: one more than the highest CPU number that may ever be there."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        return int(file.read().strip().replace(",", "-").split("-")[-1]) + 1


def cpu_slots() -> int:
    """Slots of a directly addressed per-CPU map: the CPUs, rounded up to a power of two so that a mask bounds the index."""
    return 1 << (possible_cpus() - 1).bit_length()


def _error(what: str) -> BpfError:
    number = ctypes.get_errno()
    # 524 is the kernel's own ENOTSUPP, which libc can't name
    return BpfError(number, f"{what}: {'not supported' if number == 524 else os.strerror(number).lower()}")
