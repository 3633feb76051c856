"""A private copy of a deployment: the same bytecode on maps of its own, run frame by frame, never attached.

Checks, cases, explain, replay and profile use it: live counters and flows are not touched, time is what the caller says.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from ebpfnf.agent import functions, reader, tables, vms
from ebpfnf.agent.load import HostFacts, load
from ebpfnf.errors import AgentError, TableError
from ebpfnf.kernel.insn import INGRESS_SLOT
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.programs import MIN_FRAME, Runner
from ebpfnf.kernel.syscall import BpfError
from ebpfnf.model import BESIDE, Bundle, Counter, Table

_EXIT = struct.Struct("=IIIIQ")
_LOOPBACK = (1, 1500)  # stands behind a port where no interface is given
_SIOCGIFMTU = 0x8921
MAX_FRAME = os.sysconf("SC_PAGESIZE") - 1024  # one page, less the headroom of 256 bytes and at most 768 bytes of skb_shared_info


class TooShort(AgentError):
    """The kernel runs no frame below 14 bytes. None gets to a program of a port either: raw sockets, taps and Ethernet carry none."""


class TooLong(AgentError):
    """A test run cuts such a frame in pieces, of which the program would see the first only: no verdict on it would be right.

    A driver with a program that takes no pieces (XDP frags) has no frames of that length.
    """


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one frame."""

    action: int  # XDP_*
    data: bytes  # the frame as it was left
    counter: Counter  # where the packet ended, and why
    port: str  # the port that it leaves by, empty where it does not
    position: int  # of the stage that ended it, -1: the framework
    metadata: bytes  # the packet's record as the last stage left it


class PrivateCopy:
    """A context manager. Inside, the calling thread stays on one CPU: the slot that is read is the slot that was written.

    `ports` maps port names to interfaces of the caller's network namespace, for route lookups; without it each port is the
    loopback interface, whose MTU counts as 1,500, and the kernel's routes lead to no port. `guest` stands in for the VMs: it is
    handed each frame that goes to one and says which comes back, the same unless it is given; with None none does, but by `resume`.
    """

    def __init__(
        self, bundle: Bundle, ports: Mapping[str, int] | None = None, guest: Callable[[bytes], bytes] | None = lambda frame: frame
    ) -> None:
        self.bundle = bundle
        self._guest = guest
        self._interfaces = dict(ports or {})
        self._numbers = {port.name: port.number for port in bundle.ports}
        self._ports = {port.number: port.name for port in bundle.ports}
        self._tables = {table.name: table for table in bundle.tables}
        self._stack = ExitStack()

    def __enter__(self) -> PrivateCopy:
        with ExitStack() as stack:
            self._pin(stack)
            facts = {name: _facts(self._interfaces[name]) if name in self._interfaces else _LOOPBACK for name in self._numbers}
            self._loaded = stack.enter_context(load(self.bundle, host=HostFacts.measure(facts), private=True))
            self._meta = self._map(stack, "meta").mmap()
            self._ingress = self._map(stack, "ingress").mmap()
            stack.callback(self._meta.close)
            stack.callback(self._ingress.close)
            self._maps = {table.name: self._map(stack, table.map) for table in self.bundle.tables}
            for table in self.bundle.tables:
                if table.filled_by == "operator":
                    tables.fill(table, self._maps[table.name], table.entries)
            self._slot = self._cpu * self.bundle.slot.size
            self._runner = Runner(self._loaded.programs[0])
            own = {each.name: fd for each, fd in zip(self.bundle.programs, self._loaded.programs, strict=True)}
            self._back = Runner(own.get("resume", self._loaded.programs[0]))
            self._reader = Runner(own[BESIDE]) if BESIDE in own else None
            for vm in self.bundle.vms:
                self.vms_serve(vm.number, (_LOOPBACK[0],))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, frame: bytes, port: str, now_ns: int) -> Outcome:
        """Let the deployment handle `frame` as received by `port` at the time `now_ns`.

        TooShort for fewer than 14 bytes, TooLong for more than MAX_FRAME; AgentError where the kernel won't run it, or the
        program ended without saying where.
        """
        struct.pack_into("=I", self._ingress, self._cpu * INGRESS_SLOT, self._number(port))
        struct.pack_into("=Q", self._meta, self._slot + self.bundle.slot.clock, now_ns)
        outcome = self._run(self._runner, frame, self._interfaces.get(port, 0))
        while self._guest and outcome.counter.kind == "sent":
            outcome = self.resume(self._guest(outcome.data))
        return outcome

    def resume(self, frame: bytes) -> Outcome:
        """Let the deployment handle `frame` as it came from a VM."""
        return self._run(self._back, frame, 0)

    def _run(self, runner: Runner, frame: bytes, ifindex: int) -> Outcome:
        if len(frame) > MAX_FRAME:
            raise TooLong(f"a frame of {len(frame)} bytes: the kernel runs none above {MAX_FRAME} in one piece")
        slot, meta = self.bundle.slot, self._meta
        mark = _EXIT.unpack_from(meta, self._slot + slot.exit)[4]
        try:
            action = runner.run(frame, 1, ifindex)
        except BpfError as error:
            raise _refused(frame, error) from error
        _, counter, leaves_by, position, after = _EXIT.unpack_from(meta, self._slot + slot.exit)
        while self._reader and reader.look(self._reader):
            pass
        if after != mark + 1:
            raise AgentError(f"a frame ended without an exit record (XDP action {action})", cure="a bug of ebpfnf: please report the frame")
        return Outcome(
            action=action,
            data=runner.data,
            counter=self.bundle.counters[counter],
            port=self._ports.get(leaves_by, ""),
            position=position - 1,
            metadata=meta[self._slot + slot.record : self._slot + slot.counts],
        )

    @property
    def reader(self) -> int:
        """The program that reads copies, where something stands beside the path."""
        assert self._reader
        return self._reader.fd

    def time(self, frame: bytes, port: str, now_ns: int, repeat: int) -> int:
        """Mean ns of one run out of `repeat` runs of the same frame. Programs that write the frame see what they wrote before."""
        struct.pack_into("=I", self._ingress, self._cpu * INGRESS_SLOT, self._number(port))
        struct.pack_into("=Q", self._meta, self._slot + self.bundle.slot.clock, now_ns)
        try:
            self._runner.run(frame, repeat, self._interfaces.get(port, 0))
        except BpfError as error:
            raise _refused(frame, error) from error
        return self._runner.ns

    def vms_serve(self, stage: int, taps: tuple[int, ...], leaving: tuple[int, ...] = ()) -> None:
        """Let the stage of that number have VMs behind these interfaces; those that leave only for flows that they know."""
        with ExitStack() as stack:
            vms.serve(vms.Maps(*(self._map(stack, name) for name in ("vms", "vm_state", "vm_windows"))), stage, taps, leaving)

    def functions_serve(self, names: Iterable[str]) -> None:
        """Let packets go to these functions of others only; all serve else."""
        with ExitStack() as stack:
            functions.write(self._map(stack, functions.MAP), self.bundle, names)

    def counted(self) -> tuple[int, ...]:
        """The deployment's counters in their order."""
        counts: tuple[int, ...] = struct.unpack_from(f"={len(self.bundle.counters)}Q", self._meta, self._slot + self.bundle.slot.counts)
        return counts

    def counts(self) -> dict[str, int]:
        """Each counter of the deployment by its name."""
        totals: dict[str, int] = {}
        values = self.counted()
        for counter in self.bundle.counters:
            totals[counter.name] = totals.get(counter.name, 0) + values[counter.index]
        return totals

    def table(self, name: str) -> tuple[Table, Map]:
        """A table and the map behind it, as `agent.tables` takes them. The map is closed with the copy."""
        if name not in self._tables:
            raise TableError(f"no table '{name}' (tables: {', '.join(sorted(self._tables))})")
        return self._tables[name], self._maps[name]

    def _number(self, port: str) -> int:
        if port not in self._numbers:
            raise AgentError(f"no port '{port}' (ports: {', '.join(self._numbers)})")
        return self._numbers[port]

    def _map(self, stack: ExitStack, name: str) -> Map:
        return stack.enter_context(Map(os.dup(self._loaded.maps[name])))

    def _pin(self, stack: ExitStack) -> None:
        allowed = os.sched_getaffinity(0)
        self._cpu = max(allowed)
        stack.callback(os.sched_setaffinity, 0, allowed)
        os.sched_setaffinity(0, {self._cpu})


def _facts(ifindex: int) -> tuple[int, int]:
    """(ifindex, MTU) of an interface of this network namespace."""
    try:
        name = socket.if_indextoname(ifindex)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ask:
            answer = fcntl.ioctl(ask, _SIOCGIFMTU, struct.pack("=16si12x", name.encode(), 0))
    except OSError as error:
        raise AgentError(f"interface {ifindex}: {error.strerror}") from error
    return ifindex, struct.unpack_from("=i", answer, 16)[0]


def _refused(frame: bytes, error: BpfError) -> AgentError:
    if len(frame) < MIN_FRAME:
        return TooShort(f"a frame of {len(frame)} bytes: the kernel runs none below {MIN_FRAME}")
    if error.errno in (errno.EINVAL, errno.ENOMEM):
        return AgentError(f"a frame of {len(frame)} bytes: the kernel won't run it: {error.strerror}")
    return AgentError(f"test run: {error.strerror}")
