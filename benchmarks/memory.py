"""The rig in memory: a program gets packet after packet of a mix by a tail call, without cables, queues or a kernel's receive path.

What the driving program costs is measured alone and taken off ("net").
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType

from benchmarks.frames import Mix
from benchmarks.measure import Pace
from ebpfnf.agent import tables
from ebpfnf.agent.load import HostFacts, Loaded, load, relocate
from ebpfnf.compile import compile_source
from ebpfnf.errors import VerifierError
from ebpfnf.kernel import maps, programs
from ebpfnf.kernel.insn import INGRESS_SLOT
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.syscall import cpu_slots
from ebpfnf.lab.testbed import surroundings
from ebpfnf.model import Bundle, ConstLayout, MapSpec, Program, SlotLayout, Source, Testbed

HERE = Path(__file__).parent
_MARKS = {"plan": 1, "sink": 2, "arm": 3, "ports": 4}
PLAN, SINK = len(Mix().plan()), 16 + 64 * 8 + 64 * 128
_RUNS, _PARTS = 10_000, 8


def compiled(file: str, names: tuple[str, ...], marks: Mapping[str, int], text: str = "") -> tuple[Program, ...]:
    """Programs of a C file beside this one; `marks`: map -> its symbolic id."""
    body = text + (HERE / file).read_text()
    no_slot, no_const = SlotLayout(0, 0, 0, 0), ConstLayout(0, 0, 0, 0, 0)
    return compile_source(Source(body, {}, {}, names, (), (), (), no_slot, no_const, {number: name for name, number in marks.items()}))


class Memory:
    """A context manager. Inside, the thread stays on one CPU, in a namespace with the deployments' ports.

    `bundles`: arms by name. `baselines`: arms by name, programs whose maps are those of the bundle that is named beside them.
    `same_maps`: all bundles are one graph, cut in several ways, and work on the maps of the first; what the verifier refuses is no arm.
    """

    def __init__(
        self,
        bundles: Mapping[str, Bundle],
        baselines: Mapping[str, tuple[Program | tuple[Program, ...], str]] | None = None,
        testbed: Testbed | None = None,
        same_maps: bool = False,
    ) -> None:
        self._bundles, self._baselines, self._testbed = bundles, dict(baselines or {}), testbed or Testbed()
        self._same_maps = same_maps
        self._stack = ExitStack()
        self._entries: dict[str, int] = {}
        self.loaded: dict[str, Loaded] = {}

    def __enter__(self) -> Memory:
        with ExitStack() as stack:
            cpus = os.sched_getaffinity(0)
            self.cpu = max(cpus)
            stack.callback(os.sched_setaffinity, 0, cpus)
            os.sched_setaffinity(0, {self.cpu})
            bundle = next(iter(self._bundles.values()))
            indices = stack.enter_context(surroundings(bundle.ports, self._testbed))
            host = HostFacts.measure({name: (index, 1500) for name, index in indices.items()})
            self.ifindex = next(iter(indices.values()))
            for name, each in self._bundles.items():
                try:
                    self.loaded[name] = stack.enter_context(load(each, host=host, reuse=self._reused))
                except VerifierError:
                    if not (self._same_maps and self.loaded):
                        raise
                    continue
                if not self._same_maps or len(self.loaded) == 1:
                    fill(each, self.loaded[name], self.cpu)
                self._entries[name] = self.loaded[name].programs[0]
            self._plan = _map(stack, "array", PLAN)
            sink, self._arm = _map(stack, "array", SINK), _map(stack, "prog_array", 4)
            fds = {"plan": self._plan.fd, "sink": sink.fd, "arm": self._arm.fd}
            again, nothing = (loaded(stack, p, fds) for p in compiled("rig.c", ("again", "nothing"), _MARKS))
            self._entries[""] = nothing
            for name, (given, owner) in self._baselines.items():
                parts = given if isinstance(given, tuple) else (given,)
                chained = _map(stack, "prog_array", 4, len(parts))
                ids = [loaded(stack, part, {**self.loaded[owner].maps, "chained": chained.fd}) for part in parts]
                for slot, fd in enumerate(ids):
                    chained.update(struct.pack("=I", slot), struct.pack("=I", fd))
                self._entries[name] = ids[0]
            self._runner = programs.Runner(again)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _reused(self, spec: MapSpec) -> int | None:
        """The first bundle's map, but for the programs of a cut."""
        first = next(iter(self.loaded.values()), None)
        return os.dup(first.maps[spec.name]) if self._same_maps and first and spec.name != "chain" else None

    def add(self, arm: str, program: int) -> None:
        """One more arm, a program that somebody else loaded."""
        self._entries[arm] = program

    def use(self, mix: Mix) -> None:
        """What is sent from here on."""
        self._mix, self._frame = mix, mix.frames()[0]
        self._plan.update(bytes(4), mix.plan())

    def one(self, arm: str) -> tuple[int, bytes]:
        """XDP action and the frame that an arm leaves of the next packet of the mix."""
        self._arm.update(bytes(4), struct.pack("=I", self._entries[arm]))
        return self._runner.run(self._frame, 1, self.ifindex), self._runner.data

    def restart(self) -> None:
        """The mix begins again with its first packet."""
        self._plan.update(bytes(4), self._mix.plan())

    def verify(self, mix: Mix, arms: Sequence[str], count: int = 256) -> None:
        """Uses the mix; AssertionError where an arm makes something else of its first `count` packets than the first arm."""
        self.use(mix)
        wanted: list[tuple[int, bytes]] = []
        for arm in arms:
            self.restart()
            made = [self.one(arm) for _ in range(count)]
            wanted = wanted or made
            if made != wanted:
                at = next(k for k in range(count) if made[k] != wanted[k])
                raise AssertionError(f"'{arm}' makes {made[at]} of packet {at}, '{arms[0]}' makes {wanted[at]}")

    def time(self, arm: str, runs: int = _RUNS) -> float:
        """Gross ns a packet."""
        self._arm.update(bytes(4), struct.pack("=I", self._entries[arm]))
        self._runner.run(self._frame, min(runs, max(1000, self._mix.flows)), self.ifindex)  # warm, every flow known
        times = []
        for _ in range(_PARTS):
            self._runner.run(self._frame, runs, self.ifindex)
            times.append(self._runner.ns)
        return float(min(times))  # what other processes took away is not the program's

    def compare(self, arms: list[str], rounds: int, runs: int = _RUNS) -> dict[str, list[float]]:
        """Net ns a packet of each arm, round by round, there and back; the driving program is one of those that take turns."""
        samples: dict[str, list[float]] = {arm: [] for arm in arms}
        pace = Pace()
        for number in range(rounds):
            order = ["", *arms]
            times = {arm: pace.steady(partial(self.time, arm, runs)) for arm in (order if number % 2 == 0 else order[::-1])}
            for arm in arms:
                samples[arm].append(times[arm] - times[""])
        return samples


def fill(bundle: Bundle, into: Loaded, cpu: int, port: int = 1) -> None:
    """The operator's tables, and the port by which packets come to `cpu`."""
    for table in bundle.tables:
        if table.filled_by == "operator":
            tables.fill(table, into.maps[table.map], table.entries)
    with Map(os.dup(into.maps["ingress"])) as ingress:
        slots = bytearray(INGRESS_SLOT * cpu_slots())
        for each in range(cpu_slots()):
            struct.pack_into("=I", slots, each * INGRESS_SLOT, port)
        ingress.update(bytes(4), bytes(slots))


def loaded(stack: ExitStack, program: Program, fds: Mapping[str, int]) -> int:
    """The fd of a program on these maps."""
    btf = programs.btf_load(program.btf)
    stack.callback(os.close, btf)
    debug = {"btf_fd": btf, "func_info": program.func_info, "func_info_size": program.func_info_size}
    lines = {"line_info": program.line_info, "line_info_size": program.line_info_size}
    fd = programs.load(relocate(program, fds), program.name, **debug, **lines)  # type: ignore[arg-type]
    stack.callback(os.close, fd)
    return fd


def _map(stack: ExitStack, kind: str, size: int, entries: int = 1) -> Map:
    return stack.enter_context(Map(maps.create(kind, 4, size, entries, 0, "bench")))
