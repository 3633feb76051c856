"""Taps, and control frames through them. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import socket
import struct
import time
from collections.abc import Callable
from types import TracebackType

from ebpfnf.errors import AgentError
from ebpfnf.vm import control
from ebpfnf.vm.control import Answer, Operation

_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_TAP, _NO_PI, _VNET_HDR = 0x0002, 0x1000, 0x4000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFMTU, _SIOCSIFTXQLEN = 0x8913, 0x8914, 0x8922, 0x8943
_UP, _RUNNING = 0x1, 0x40
QUEUE = 4096  # frames that wait while the host does something else: 0.2 s at 20,000 a second
MTU = 1586  # VM_FRAME of vm.h, less the Ethernet header


def create(name: str, mtu: int = MTU) -> int:
    """A tap that stays, up; its ifindex. One of that name is taken as it is."""
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        try:
            with contextlib.suppress(BlockingIOError):  # a guest holds it: it is there
                if not _there(name):
                    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP | _NO_PI | _VNET_HDR))
                    fcntl.ioctl(fd, _TUNSETPERSIST, 1)
        finally:
            os.close(fd)
        # nothing of the host's own may go to a guest: no router solicitations, no multicast reports
        with contextlib.suppress(FileNotFoundError), open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w", encoding="ascii") as switch:
            switch.write("1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ask:
            fcntl.ioctl(ask, _SIOCSIFMTU, struct.pack("16si20x", name.encode(), mtu))
            fcntl.ioctl(ask, _SIOCSIFTXQLEN, struct.pack("16si20x", name.encode(), QUEUE))
            flags = struct.unpack_from("H", fcntl.ioctl(ask, _SIOCGIFFLAGS, struct.pack("16s24x", name.encode())), 16)[0]
            fcntl.ioctl(ask, _SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags | _UP))
        return socket.if_nametoindex(name)
    except OSError as error:
        raise AgentError(f"tap '{name}': {(error.strerror or 'error').lower()}", cure="modprobe tun; run as root") from None


def remove(name: str) -> None:
    """Take the tap away; nothing where there is none."""
    if not _there(name):
        return
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(100):  # the emulator lets go a moment after libvirt says that it ended
            try:
                fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP | _NO_PI | _VNET_HDR))
                break
            except BlockingIOError:
                time.sleep(0.02)
            except OSError as error:
                if error.errno != 16:  # EBUSY
                    raise
                time.sleep(0.02)
        else:
            raise AgentError(f"tap '{name}' is still in use")
        fcntl.ioctl(fd, _TUNSETPERSIST, 0)
    finally:
        os.close(fd)


def held(name: str) -> bool:
    """Whether an emulator holds the tap: its carrier goes within milliseconds of the emulator's end."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ask:
            told = fcntl.ioctl(ask, _SIOCGIFFLAGS, struct.pack("16s24x", name.encode()))
    except OSError:
        return False
    return bool(struct.unpack_from("H", told, 16)[0] & _RUNNING)


def refused(name: str) -> int:
    """Frames that the tap could not take, since its queue was full or nobody held it; 0 where there is no such tap."""
    with open("/proc/thread-self/net/dev", encoding="ascii") as table:  # /sys would show another namespace's
        for line in table:
            interface, _, numbers = line.partition(":")
            if interface.strip() == name:
                return int(numbers.split()[11])
    return 0


def _there(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


class Line:
    """Control frames to and from the guest behind a tap."""

    def __init__(self, tap: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.htons(control.TYPE))
        self._sequence = itertools.count(int.from_bytes(os.urandom(2), "big"))
        try:
            self._socket.bind((tap, control.TYPE))
        except OSError as error:
            self._socket.close()
            raise AgentError(f"tap '{tap}': {(error.strerror or 'error').lower()}") from None

    def __enter__(self) -> Line:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def send(self, operation: Operation, text: str = "") -> int:
        """Ask; the number that the answer will have, 0 where nobody holds the tap or its queue is full."""
        sequence = next(self._sequence) & 0xFFFF or next(self._sequence) & 0xFFFF
        try:
            self._socket.send(control.request(operation, sequence, b"\x02\0\0\0\0\x01", text=text))
        except OSError:
            return 0
        return sequence

    def hear(self, operation: Operation, seconds: float) -> Answer | None:
        """An answer to any question of this kind, if one comes."""
        return self._wait(lambda answer: answer.operation == operation and answer.sequence != 0, seconds)

    def ask(self, operation: Operation, text: str = "", seconds: float = 1.0) -> Answer | None:
        """The guest's answer, or None when there is none in time."""
        sequence = self.send(operation, text)
        return self._wait(lambda answer: answer.sequence == sequence and answer.operation == operation, seconds) if sequence else None

    def ready(self, seconds: float, operation: Operation = Operation.READY) -> bool:
        """Whether the guest serves, asked until it does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.ask(operation, seconds=0.05):
                return True
            time.sleep(0.005)
        return False

    def counters(self) -> dict[str, int]:
        """The guest's counters, empty where it does not answer."""
        found: dict[str, int] = {}
        while True:
            answer = self.ask(Operation.STATS, str(len(found)), seconds=0.3)
            if answer is None:
                return {}
            more = control.counters(answer.text)
            if answer.status is not control.Status.MORE or not more.keys() - found.keys():  # else it would be asked for ever
                return found | more
            found |= more

    def _wait(self, wanted: Callable[[Answer], bool], seconds: float) -> Answer | None:
        end = time.monotonic() + seconds
        while True:
            self._socket.settimeout(max(0.0, end - time.monotonic()))
            try:
                answer = control.answer(self._socket.recv(2048))
            except OSError:
                return None
            if answer and wanted(answer):
                return answer
