"""Load through a chain, with proof: numbered packets on which each stage of the chain leaves the mark of its generation.

Both ends are XDP programs (traffic.c), so that one core sends, handles and counts several hundred thousand packets a second.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ebpfnf.compile import compile_source
from ebpfnf.kernel import links, maps, programs
from ebpfnf.kernel.syscall import BpfError
from ebpfnf.lab.frames import udp_frame
from ebpfnf.lab.lab import Lab
from ebpfnf.model import ConstLayout, Program, SlotLayout, Source

FRAME, PAYLOAD, SLOTS, MAX_PATTERNS = 96, 42, 8, 8  # as in traffic.c
_MAGIC = 0x6562706E66_6C6F61
_SINK = struct.Struct(f"={4 + 2 * MAX_PATTERNS}Q")
_SOURCE = struct.Struct("=3Q")
# Runs of the sending program in one system call, which takes 25 ms to set up and wind down.
_CHUNK, _BATCH = 65536, 64
_PATIENCE = 2.0  # seconds until a frame that is under way counts as lost


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the packets. by_pattern: marks of a generation -> its packets; mixed: those with the marks of none."""

    sent: int
    received: int
    mixed: int
    by_pattern: Mapping[bytes, int]
    seconds: float
    intact: bool  # the numbers that arrived sum to those that were sent

    @property
    def lost(self) -> int:
        """Sent and never received."""
        return self.sent - self.received

    @property
    def whole(self) -> bool:
        """Nothing lost, nothing doubled, no packet saw two generations."""
        return self.lost == 0 and self.mixed == 0 and self.intact

    @property
    def pps(self) -> int:
        """Packets a second, there and checked."""
        return int(self.received / self.seconds) if self.seconds else 0


class Load:
    """A sender on one host and the counting end on another, of a lab that is up.

    Stage i of the chain writes its mark into byte 8 + i of the UDP payload. `patterns`: what the stages of each generation
    leave there together, at most 8 bytes, 8 patterns; a packet that shows none of them has seen parts of two generations.
    """

    def __init__(self, lab: Lab, patterns: Sequence[bytes], *, sender: str = "client", sink: str = "sink", interface: str = "eth0") -> None:
        if not 1 <= len(patterns) <= MAX_PATTERNS or max(map(len, patterns)) > SLOTS:
            raise ValueError(f"1 to {MAX_PATTERNS} patterns of at most {SLOTS} bytes")
        self._lab, self._patterns, self._ends, self._interface = lab, tuple(patterns), (sender, sink), interface
        self._open = ExitStack()

    def __enter__(self) -> Load:
        with ExitStack() as made:
            source, sink = _map(made, _SOURCE.size + FRAME, "load_source"), _map(made, _SINK.size, "load_sink")
            source.update(bytes(4), bytes(_SOURCE.size) + self._frame())
            padded = (*self._patterns, *(self._patterns[:1] * MAX_PATTERNS))[:MAX_PATTERNS]
            words = [word for marks in padded for word in (int.from_bytes(marks.ljust(SLOTS, b"\0"), sys.byteorder), 0)]
            sink.update(bytes(4), _SINK.pack(_MAGIC, 0, 0, 0, *words))
            self._counts = made.enter_context(memoryview(made.enter_context(sink.mmap())))
            self._state = made.enter_context(memoryview(made.enter_context(source.mmap())))
            generate, check = _programs()
            self._generate = _load(made, generate, {"source": source.fd, "sink": sink.fd})
            checking = _load(made, check, {"source": source.fd, "sink": sink.fd})
            with self._lab.enter(self._ends[1]):
                made.callback(os.close, links.create_xdp(checking, socket.if_nametoindex(self._interface)))
            self._open = made.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def run(self, packets: int, until: threading.Event | None = None) -> Result:
        """Sends that many, and more until the event is set; waits for them. It keeps to one CPU: do other things in another thread."""
        first, before, began = self._source()[0], self._sink(), time.monotonic()
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cpus)})
        try:
            with self._lab.enter(self._ends[0]):
                interface = socket.if_nametoindex(self._interface)
                self._send_to(first + packets, interface)
                while until and not until.is_set():
                    self._send_to(self._source()[0] + _CHUNK, interface)
        finally:
            os.sched_setaffinity(0, cpus)
        seconds = time.monotonic() - began
        self._settle()
        sent, after = self._source()[0] - first, self._sink()
        received, numbers, mixed = (after[i] - before[i] for i in (1, 2, 3))
        by_pattern = {marks: after[4 + 2 * i + 1] - before[4 + 2 * i + 1] for i, marks in enumerate(self._patterns)}
        return Result(sent, received, mixed, by_pattern, seconds, numbers == sum(range(first, first + sent)))

    def _send_to(self, limit: int, interface: int) -> None:
        """Sends until all numbers below `limit` are used; gives up waiting for what does not arrive."""
        struct.pack_into("=Q", self._state, 8, limit)
        arrived, since = -1, 0.0
        while self._source()[0] < limit:
            try:
                programs.send(self._generate, bytes(FRAME), count=_CHUNK, ifindex=interface, batch=_BATCH)
            except BpfError as error:
                if error.errno != errno.EINTR:  # a signal: some were sent, the numbers say how many
                    raise
            if self._sink()[1] != arrived:
                arrived, since = self._sink()[1], time.monotonic()
            elif time.monotonic() - since > _PATIENCE:
                self._give_up()

    def _give_up(self) -> None:
        """What is under way is lost: it no longer takes room in the window."""
        struct.pack_into("=Q", self._state, 16, self._source()[0] - self._sink()[1])

    def _settle(self) -> None:
        until = time.monotonic() + _PATIENCE
        while self._source()[0] - self._source()[2] > self._sink()[1] and time.monotonic() < until:
            time.sleep(0.001)
        self._give_up()

    def _frame(self) -> bytes:
        (sender, sink) = (self._lab.topology.host(name).ports[0] for name in self._ends)
        payload = bytes(8 + SLOTS) + struct.pack("=Q", _MAGIC)
        source, destination = (port.addresses[0].partition("/")[0] for port in (sender, sink))
        frame = udp_frame(sender.mac, sink.mac, source, 4000, destination, 9, payload.ljust(FRAME - PAYLOAD, b"\0"))
        return frame[: PAYLOAD - 2] + b"\0\0" + frame[PAYLOAD:]  # no UDP checksum: the number changes

    def _sink(self) -> tuple[int, ...]:
        return _SINK.unpack(self._counts[: _SINK.size])

    def _source(self) -> tuple[int, ...]:
        return _SOURCE.unpack(self._state[: _SOURCE.size])


def _programs() -> tuple[Program, ...]:
    text = Path(__file__).with_name("traffic.c").read_text()
    no_slot, no_const = SlotLayout(0, 0, 0, 0), ConstLayout(0, 0, 0, 0, 0)
    return compile_source(Source(text, {}, {}, ("generate", "check"), (), (), (), no_slot, no_const, {1: "source", 2: "sink"}))


def _map(made: ExitStack, size: int, name: str) -> maps.Map:
    return made.enter_context(maps.Map(maps.create("array", 4, size, 1, maps.MMAPABLE, name)))


def _load(made: ExitStack, program: Program, fds: Mapping[str, int]) -> int:
    insns = bytearray(program.insns)
    for index, name in program.relocations:
        struct.pack_into("=I", insns, index * 8 + 4, fds[name])
    fd = programs.load(bytes(insns), f"load_{program.name}")
    made.callback(os.close, fd)
    return fd
