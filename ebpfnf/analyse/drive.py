"""Times the programs of bundles as they run on a host, without traffic: the same frame again and again, made anew each time."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from ebpfnf.agent import tables
from ebpfnf.agent.load import HostFacts, load, relocate
from ebpfnf.compile import compile_source
from ebpfnf.kernel import maps, programs
from ebpfnf.kernel.insn import INGRESS_SLOT
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.syscall import cpu_slots
from ebpfnf.lab.testbed import surroundings
from ebpfnf.model import Bundle, ConstLayout, Program, SlotLayout, Source, Testbed

HEAD = 128  # as in again.c
_RUNS, _PARTS = 10_000, 3  # a call of the kernel's test run waits for a grace period, some 20 ms, whatever it runs
_TRIES, _NEAR = 8, 1.15
_KEY = bytes(4)


class Drive:
    """A context manager: bundles by name, loaded as on a host.

    Inside, the thread stays on one CPU, in a namespace with the first bundle's ports.
    """

    def __init__(self, bundles: Mapping[str, Bundle], testbed: Testbed) -> None:
        self._bundles, self._testbed = bundles, testbed
        self._stack = ExitStack()
        self._entries: dict[str, int] = {}
        self._ingress: dict[str, Map] = {}
        self._least: dict[tuple[int, bytes, str], float] = {}  # ns by program, frame and port
        self.verified: dict[str, int] = {}  # instructions that the verifier looked at, all programs together

    def __enter__(self) -> Drive:
        with ExitStack() as stack:
            stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            first = next(iter(self._bundles.values()))
            self._ports = {port.name: port.number for port in first.ports}
            self._interfaces = stack.enter_context(surroundings(first.ports, self._testbed))
            host = HostFacts.measure({name: (index, 1500) for name, index in self._interfaces.items()})
            for name, bundle in self._bundles.items():
                loaded = stack.enter_context(load(bundle, host=host))
                for table in bundle.tables:
                    if table.filled_by == "operator":
                        tables.fill(table, loaded.maps[table.map], table.entries)
                self._entries[name] = loaded.programs[0]
                self._ingress[name] = stack.enter_context(Map(os.dup(loaded.maps["ingress"])))
                self.verified[name] = sum(programs.info(fd).verified_insns for fd in loaded.programs)
            self._frame = stack.enter_context(Map(maps.create("array", 4, HEAD, 1, 0, "drive_frame")))
            self._chosen = stack.enter_context(Map(maps.create("prog_array", 4, 4, 1, 0, "drive_chosen")))
            fds = {"frame": self._frame.fd, "chosen": self._chosen.fd}
            again, self._nothing = (programs.load(relocate(p, fds), p.name) for p in _driving())
            stack.callback(os.close, again)
            stack.callback(os.close, self._nothing)
            self._runner = programs.Runner(again)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def time(self, name: str, frame: bytes, port: str) -> float:
        """Ns that a bundle's programs need for the frame, as received by that port; without what the driving costs.

        Both are the least of all calls until now: what other processes took away is neither's. Where driving alone takes longer
        than it did, others are at work on this core, for tenths of a second: then once more.
        """
        frame = frame.ljust(HEAD, b"\0")
        self._frame.update(_KEY, frame[:HEAD])
        slots = struct.pack("=I", self._ports[port]).ljust(INGRESS_SLOT, b"\0") * cpu_slots()
        self._ingress[name].update(_KEY, slots)
        nothing, entry = (self._nothing, frame, port), (self._entries[name], frame, port)
        for _ in range(_TRIES):
            driving = self._run(*nothing, 1)
            self._run(*entry, _PARTS)
            if driving <= _NEAR * self._least[nothing]:
                break
        return max(0.0, self._least[entry] - self._least[nothing])

    def _run(self, fd: int, frame: bytes, port: str, parts: int) -> float:
        """Ns of the quickest of so many short runs."""
        self._chosen.update(_KEY, struct.pack("=I", fd))
        quickest = math.inf
        for _ in range(parts):
            self._runner.run(frame, _RUNS, self._interfaces[port])
            quickest = min(quickest, float(self._runner.ns))
        self._least[fd, frame, port] = min(quickest, self._least.get((fd, frame, port), math.inf))
        return quickest


def _driving() -> tuple[Program, ...]:
    text = Path(__file__).with_name("again.c").read_text()
    none = SlotLayout(0, 0, 0, 0), ConstLayout(0, 0, 0, 0, 0)
    return compile_source(Source(text, {}, {}, ("again", "nothing"), (), (), (), *none, {1: "frame", 2: "chosen"}))
