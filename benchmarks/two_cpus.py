"""Two CPUs that run one chain at a time: what sharing tables costs, and that what both counted adds up exactly."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from benchmarks import chains
from benchmarks.frames import Mix
from benchmarks.measure import ROUNDS, Figure, Unavailable, figure, ratio
from benchmarks.memory import PLAN, Memory, compiled, loaded
from ebpfnf.agent import tables
from ebpfnf.agent.load import Loaded
from ebpfnf.kernel import maps, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.model import Bundle

_RUNS = 200_000
_MARKS = {"plan": 1, "sink": 2, "arm": 3, "ports": 4}
_HERE, _THERE = Mix(), Mix(source="10.11.0.0")


class Lane:
    """What drives an arm on one CPU: a plan and a driving program of its own."""

    def __init__(self, stack: ExitStack, cpu: int, ifindex: int) -> None:
        self.cpu, self._ifindex = cpu, ifindex
        self._plan = stack.enter_context(Map(maps.create("array", 4, PLAN, 1, 0, "lane_plan")))
        self._arm = stack.enter_context(Map(maps.create("prog_array", 4, 4, 1, 0, "lane_arm")))
        (again,) = compiled("rig.c", ("again",), _MARKS)
        self._runner = programs.Runner(loaded(stack, again, {"plan": self._plan.fd, "arm": self._arm.fd}))

    def run(self, entry: int, mix: Mix, ready: Callable[[], object]) -> None:
        """As this thread, on its CPU; `ns` is then what a packet took."""
        os.sched_setaffinity(0, {self.cpu})
        frame = mix.frames()[0]
        self._plan.update(bytes(4), mix.plan())
        self._arm.update(bytes(4), struct.pack("=I", entry))
        ready()
        self._runner.run(frame, _RUNS, self._ifindex)
        self.ns = self._runner.ns


def run(rounds: int = ROUNDS) -> list[Figure]:
    """One CPU; two on tables of their own; two on the same tables, with flows of their own and with the same flows."""
    cpus = sorted(os.sched_getaffinity(0))[-2:]
    if len(cpus) < 2:
        raise Unavailable("two CPUs")
    found: list[Figure] = []
    for backing in ("kernel", "direct"):
        bundle = chains.build(chains.bench4(rules=4, tables=backing))
        with Memory({"a": bundle, "b": bundle}) as rig, ExitStack() as stack:
            lanes = [Lane(stack, cpu, rig.ifindex) for cpu in cpus]
            arms: Mapping[str, Sequence[tuple[str, Mix]]] = {
                "one CPU": [("a", _HERE)],
                "two CPUs, tables of their own": [("a", _HERE), ("b", _THERE)],
                "two CPUs, shared tables": [("a", _HERE), ("a", _THERE)],
                "two CPUs, shared tables and flows": [("a", _HERE), ("a", _HERE)],
            }
            rates: dict[str, list[float]] = {arm: [] for arm in arms}
            before = {name: _counted(bundle, rig.loaded[name]) for name in "ab"}
            driven = dict.fromkeys("ab", 0)
            for turn in range(rounds + 1):  # in the first one flows begin: it is not measured
                for arm in list(arms)[:: 1 if turn % 2 else -1]:
                    rate = _together(lanes, [(rig.loaded[name].programs[0], mix) for name, mix in arms[arm]])
                    for name, _ in arms[arm]:
                        driven[name] += _RUNS
                    if turn:
                        rates[arm].append(rate)
            for name in "ab":
                _exact(before[name], _counted(bundle, rig.loaded[name]), driven[name])
        found += [figure(f"{arm}, {backing} tables", samples, "Mpps") for arm, samples in rates.items()]
        found += [ratio(f"{arm} / one CPU, {backing} tables", rates[arm], rates["one CPU"]) for arm in arms if arm != "one CPU"]
    return found


def _together(lanes: Sequence[Lane], work: Sequence[tuple[int, Mix]]) -> float:
    """Million packets a second of all lanes that have work, begun at the same time."""
    gate = threading.Barrier(len(work))
    threads = [threading.Thread(target=lane.run, args=(*each, gate.wait)) for lane, each in zip(lanes, work, strict=False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(1e3 / lane.ns for lane, _ in zip(lanes, work, strict=False))


def _counted(bundle: Bundle, live: Loaded) -> dict[str, int]:
    """Packets by the exit's counter of all CPUs, by the histogram of sizes and by the subnets' counters."""
    with ExitStack() as stack:
        meta = stack.enter_context(Map(os.dup(live.maps["meta"]))).lookup(bytes(4)) or b""
        out = next(c.index for c in bundle.counters if c.name.endswith(".out"))
        exits = [struct.unpack_from("=Q", meta, at + bundle.slot.counts + 8 * out)[0] for at in range(0, len(meta), bundle.slot.size)]
        found = {"exits": sum(exits)}
        for name in ("stats.sizes.sizes", "stats.subnets.counts"):
            table = next(t for t in bundle.tables if t.name == name)
            entries = tables.dump(table, stack.enter_context(Map(os.dup(live.maps[table.map]))))
            found[name] = sum(value["packets"] if isinstance(value, dict) else value for _, value in entries)
    return found


def _exact(before: Mapping[str, int], after: Mapping[str, int], driven: int) -> None:
    """AssertionError where any of the sums is not what was driven."""
    for name, number in after.items():
        if number - before[name] != driven:
            raise AssertionError(f"{name} counted {number - before[name]} of {driven} packets")
