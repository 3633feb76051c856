"""Copies for mNFs beside the path: what is missed is counted, what is not is read, whoever reads and whatever is swapped meanwhile."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpfnf import packets, pipeline
from ebpfnf.agent import reader
from ebpfnf.kernel import insn, links, pins, programs
from ebpfnf.model import COPIES, Bundle
from tests.faults.bench import Bench
from tests.faults.test_watch import soon, watching

pytestmark = pytest.mark.faults

CHAIN = """
ebpfnf: 1
deployment: {name}
ports:
  wan: {{interface: wan0}}
  lan: {{interface: lan0}}
vnfs:
  edge: {{vnf: edge-firewall, rules: [{{deny: {{ip.src: 203.0.113.{number}}}}}], default: allow}}
  stats: {{vnf: monitor, lossy: true, subnets: [198.51.100.0/24]}}
chains:
  in: {{on: wan, match: {{}}, path: [edge, stats], then: pass}}
"""
CPUS = sorted(os.sched_getaffinity(0))
FRAME = packets.build("tcp 192.0.2.9:4000 > 198.51.100.7:80 flags S")


def bundle(bench: Bench, folder: Path, number: int = 1) -> Bundle:
    """One of many bundles that differ in a rule."""
    (folder / "chain.yaml").write_text(CHAIN.format(name=bench.name, number=number))
    return pipeline.build_file(folder / "chain.yaml")


@contextlib.contextmanager
def entry(bench: Bench) -> Iterator[int]:
    """The program at `wan`, which all generations share."""
    with bench.here() as at:
        link = pins.get(at.link("wan"))
    program = programs.open_id(links.info(link).prog_id)
    os.close(link)
    try:
        yield program
    finally:
        os.close(program)


def send(program: int, count: int, cpu: int = CPUS[-1]) -> None:
    """So many packets enter by a program on one CPU, and pass."""
    os.sched_setaffinity(0, {cpu})
    try:
        for begun in range(0, count, 1000):
            assert programs.test_run(program, FRAME, repeat=min(1000, count - begun)).action == insn.XDP_PASS
    finally:
        os.sched_setaffinity(0, CPUS)


def seen(bench: Bench) -> int:
    """Packets that the monitor has counted; both of its tables agree."""
    sizes = dict(bench.run("table dump", {"table": "stats.sizes.sizes"}))
    counts = dict(bench.run("table dump", {"table": "stats.subnets.counts"}))
    assert sizes["0-64"] == counts.get("0", {"packets": 0})["packets"]
    return int(sizes["0-64"])


def test_without_a_reader_packets_pass_and_what_finds_no_room_is_counted(bench: Bench, tmp_path: Path) -> None:
    """A reader that comes later reads what waited, and from then on nothing is missed; `status` says it all."""
    bench.apply(bundle(bench, tmp_path))
    with entry(bench) as program:
        send(program, COPIES + 300)
        status = bench.status()
        assert (status["lost"], status["counters"]["chain.in.out"], seen(bench)) == ({"stats.lost": 300}, COPIES + 300, 0)
        assert any("stats.lost: 300 packets" in warning for warning in status["warnings"])
        with watching(bench):
            assert soon(lambda: waiting(bench) == 0)
            for _ in range(5):
                send(program, 1000)
                assert soon(lambda: waiting(bench) == 0)
            assert (seen(bench), bench.status()["lost"]) == (COPIES + 5000, {"stats.lost": 300})


def waiting(bench: Bench) -> int:
    with bench.here() as at:
        return sum(reader.waiting(at.generation(number)) for number in at.generations())


def test_swaps_under_load_from_all_cpus_lose_nothing_silently(bench: Bench, tmp_path: Path) -> None:
    """What each generation has handed over is read by it, or counted: seen and missed make up all that passed."""
    bundles = [bundle(bench, tmp_path, number) for number in (1, 2)]
    bench.apply(bundles[0])
    with entry(bench) as program, watching(bench):
        loads = [threading.Thread(target=send, args=(program, 60_000, cpu)) for cpu in CPUS[:2]]
        for load in loads:
            load.start()
        for turn in range(1, 6):
            bench.apply(bundles[turn % 2])
        for load in loads:
            load.join()
        assert soon(lambda: waiting(bench) == 0)
    counters = bench.status()["counters"]
    assert counters["chain.in.out"] == 60_000 * len(loads) == seen(bench) + counters["stats.lost"]
    assert counters["chain.in.bad_verdict"] == 0


def test_a_generation_that_goes_reads_what_nobody_read(bench: Bench, tmp_path: Path) -> None:
    """No reader at all: the copies wait over a swap and a way back, and are read when their generation is retired."""
    bundles = [bundle(bench, tmp_path, number) for number in (1, 2, 3)]
    bench.apply(bundles[0])
    with entry(bench) as program:
        send(program, 500)
    bench.apply(bundles[1])
    assert (waiting(bench), seen(bench)) == (500, 0)
    bench.apply(bundles[2])
    assert (waiting(bench), seen(bench)) == (0, 500)
    assert bench.status()["lost"] == {"stats.lost": 0}
