"""What this kernel can do, found out by doing it; the length of its tick; and the wait for packets that are under way."""

from __future__ import annotations

import errno
import os
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ebpfnf.kernel import insn, links, maps, pins, programs
from ebpfnf.kernel.syscall import BpfError, enter_new_netns, membarrier

_GLOBAL = 1  # MEMBARRIER_CMD_GLOBAL
_CLOCK_MONOTONIC_COARSE = 6
_LOOPBACK = 1  # its ifindex, in every network namespace
_FRAME = bytes(64)


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that is needed of the kernel: whether it works here, and if not, what the kernel said."""

    name: str
    works: bool
    said: str = ""


def features() -> tuple[Feature, ...]:
    """Each feature that the agent uses, tried. Leaves nothing behind; needs root."""
    return tuple(_try(name, attempt) for name, attempt in _PROBES.items())


def tick_ns() -> int:
    """Nanoseconds of one jiffy: what the coarse clock advances by (clock_getres(2))."""
    return round(time.clock_getres(_CLOCK_MONOTONIC_COARSE) * 1e9)


def packet_time(shift: int) -> int:
    """The clock by which programs tell time, jiffies in ns, shifted right by so many bits; 32 bits of it."""
    code = insn.call(insn.JIFFIES64), insn.alu("mul", 0, tick_ns()), insn.alu("rsh", 0, shift), insn.leave()
    fd = _load(*code)
    try:
        return programs.test_run(fd, _FRAME).action
    finally:
        os.close(fd)


def grace() -> None:
    """Return when every program run that had begun before this call has ended."""
    try:
        membarrier(_GLOBAL)
    except BpfError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):  # EINVAL: nohz_full is on
            raise
        grace_by_map()


def grace_by_map() -> None:
    """`grace` by replacing a map in a map of maps: the update returns when no program can see the old one any more."""
    with maps.Map(maps.create("array", 4, 8, 1)) as inner, maps.Map(maps.create("array_of_maps", 4, 4, 1, inner_fd=inner.fd)) as outer:
        outer.update(bytes(4), struct.pack("=I", inner.fd))


def _load(*code: bytes) -> int:
    return programs.load(b"".join(code), "probe")


def _xdp() -> None:
    os.close(_load(insn.leave(insn.XDP_PASS)))


def _run() -> None:
    fd = _load(insn.leave(insn.XDP_TX))
    try:
        if programs.test_run(fd, _FRAME).action != insn.XDP_TX:
            raise BpfError(errno.EINVAL, "a program returned what it did not say")
    finally:
        os.close(fd)


def _jiffies() -> None:
    os.close(_load(insn.call(insn.JIFFIES64), insn.leave(insn.XDP_PASS)))


def _value() -> None:
    with maps.Map(maps.create("array", 4, 64, 1)) as value:
        os.close(_load(insn.load_value(1, value.fd), insn.load(8, 0, 1), insn.leave(insn.XDP_PASS)))


def _link() -> None:
    """Attaches to the loopback of a network namespace of its own: a probe touches nobody's interface."""
    failed: list[OSError] = []

    def attach() -> None:
        try:
            enter_new_netns()
            fd = _load(insn.leave(insn.XDP_PASS))
            try:
                os.close(links.create_xdp(fd, _LOOPBACK, "generic"))
            finally:
                os.close(fd)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=attach)  # the namespace is the thread's, and ends with it
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _map(kind: str, key_size: int, flags: int = 0) -> Callable[[], None]:
    return lambda: os.close(maps.create(kind, key_size, 4, 1, flags))


def _frozen() -> None:
    with maps.Map(maps.create("array", 4, 8, 1, maps.RDONLY_PROG)) as value:
        maps.freeze(value.fd)


def _bpffs() -> None:
    if not pins.mounted():
        raise BpfError(errno.ENOENT, f"no bpffs at {pins.mount()}: mount -t bpf bpf {pins.mount()}")


_PROBES: dict[str, Callable[[], None]] = {
    "xdp program": _xdp,
    "test run": _run,
    "direct map value": _value,
    "jiffies64": _jiffies,
    "bpf_link": _link,
    "prog array": _map("prog_array", 4),
    "devmap": _map("devmap", 4),
    "lru hash": _map("lru_hash", 4),
    "lpm trie": _map("lpm_trie", 20, maps.NO_PREALLOC),
    "map of maps": grace_by_map,
    "frozen map": _frozen,
    "grace period": grace,
    "bpffs": _bpffs,
}


def _try(name: str, attempt: Callable[[], None]) -> Feature:
    try:
        attempt()
    except OSError as error:
        return Feature(name, False, error.strerror or str(error))
    return Feature(name, True)
