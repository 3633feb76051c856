"""Monitors on the path against monitors beside it: what a packet costs either way, and what its copy costs the CPU that reads it."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import ROUNDS, Figure, Unavailable, point, ratio
from ebpfnf import packets, pipeline
from ebpfnf.agent import reader, tables
from ebpfnf.agent.private import PrivateCopy
from ebpfnf.kernel.programs import Runner
from ebpfnf.kernel.syscall import cpu_slots
from ebpfnf.model import COPIES

_FRAME = packets.build("tcp 192.0.2.9:4000 > 198.51.100.7:80 size 64")
_BATCHES = 40  # a round; each as many packets as there is room for copies
_CHAIN = """
ebpfnf: 1
deployment: beside
ports:
  wan: {{interface: eth0}}
  lan: {{interface: eth1}}
vnfs:
  edge: {{vnf: edge-firewall, rules: [{{deny: {{ip.src: 203.0.113.0/24}}}}], default: allow}}
{monitors}
chains:
  in: {{on: wan, match: {{}}, path: [{path}], then: "out:lan"}}
"""


def _copy(stack: ExitStack, folder: Path, monitors: int, lossy: bool) -> PrivateCopy:
    names = [f"stats-{k}" for k in range(monitors)]
    lines = [f"  {name}: {{vnf: monitor, lossy: {str(lossy).lower()}, subnets: [198.51.100.0/24]}}" for name in names]
    (folder / "chain.yaml").write_text(_CHAIN.format(monitors="\n".join(lines), path=", ".join(["edge", *names])))
    copy = stack.enter_context(PrivateCopy(pipeline.build_file(folder / "chain.yaml")))
    for _ in range(3):
        assert copy.run(_FRAME, "wan", 10**9).counter.name == "chain.in.out"
    assert all(dict(tables.dump(*copy.table(f"{name}.sizes.sizes")))["0-64"] == 3 for name in names)
    return copy


def run() -> list[Figure]:
    """For one to sixteen monitors, each of which counts sizes and subnets. Copies are read in between, by another CPU."""
    others = os.sched_getaffinity(0) - {max(os.sched_getaffinity(0))}
    if not others:
        raise Unavailable("a second CPU")
    counts = (1, 2, 4, 8, 16)
    on: dict[int, list[float]] = {count: [] for count in counts}
    by: dict[int, list[float]] = {count: [] for count in counts}
    read: dict[int, list[float]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        away = stack.enter_context(ThreadPoolExecutor(1, initializer=os.sched_setaffinity, initargs=(0, others)))
        copies = {(count, lossy): _copy(stack, Path(folder), count, lossy) for count in counts for lossy in (False, True)}
        runners = {count: Runner(copies[count, True].reader) for count in counts}

        def drain(runner: Runner) -> float:
            reader.read(runner, COPIES - cpu_slots())
            ns = runner.ns
            while reader.read(runner):
                pass
            return ns

        for _ in range(ROUNDS):
            sums: dict[tuple[int, str], int] = {}
            for _ in range(_BATCHES):
                for (count, lossy), copy in copies.items():
                    key = count, "by" if lossy else "on"
                    sums[key] = sums.get(key, 0) + copy.time(_FRAME, "wan", 10**9, COPIES)
                    if lossy:
                        sums[count, "read"] = sums.get((count, "read"), 0) + int(away.submit(drain, runners[count]).result())
            for count in counts:
                for name, samples in (("on", on), ("by", by), ("read", read)):
                    samples[count].append(sums[count, name] / _BATCHES)
        assert not any(copies[count, True].counts().get("stats-0.lost") for count in counts)
    lines = {"on the path": on, "beside it": by, "the reader, a copy": read}
    found = [point(line, "monitors", count, samples[count], "ns") for line, samples in lines.items() for count in counts]
    return [*found, *(ratio(f"beside / on the path, {count} monitors", by[count], on[count]) for count in counts)]
