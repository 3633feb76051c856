"""Protects the main promise: while live traffic passes, a swap loses no packet, and no packet sees two generations."""

from __future__ import annotations

import base64
import dataclasses
import os
import threading
from pathlib import Path

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.agent.apply import apply, rollback, undeploy
from ebpfnf.bundle import encode
from ebpfnf.fleet.local import LocalHost
from ebpfnf.lab import Lab
from ebpfnf.lab.topology import LINE
from ebpfnf.lab.traffic import Load, Result
from ebpfnf.model import Bundle

pytestmark = pytest.mark.lab

EXAMPLE = Path(__file__).parents[2] / "examples" / "hot-swap" / "chain.yaml"
NAME = f"swap-{os.getpid()}"


@pytest.fixture
def lab():
    with Lab(f"swap{os.getpid()}", LINE) as lab:
        try:
            yield lab
        finally:
            with lab.enter("dut"):
                undeploy(NAME)
            Path(f"/run/ebpfnf/{NAME}.lock").unlink(missing_ok=True)


def bundle(mark: int, granularity: str) -> Bundle:
    chain = spec.load(EXAMPLE)
    instances = tuple(dataclasses.replace(i, arguments={**i.arguments, "mark": mark}) for i in chain.instances)
    return pipeline.build(dataclasses.replace(chain, name=NAME, instances=instances), granularity)


def test_fifty_swaps_by_processes_of_their_own(lab: Lab) -> None:
    """As an operator does it: each change is another agent, which knows only what is pinned."""
    host = LocalHost(lab.namespace("dut"))
    shipped = [{"bundle": base64.b64encode(encode(bundle(mark, "mnf"))).decode()} for mark in (1, 2)]
    host.run("apply", shipped[0])
    done, results, changes = threading.Event(), list[Result](), 0
    with Load(lab, [bytes([mark] * 5) for mark in (1, 2)]) as load:
        traffic = threading.Thread(target=lambda: results.append(load.run(1_000_000, done)))
        traffic.start()
        try:
            turn = 0
            while changes < 50:
                back = changes % 10 == 9
                turn = 1 - turn
                result = host.run("rollback", {"deployment": NAME}) if back else host.run("apply", shipped[turn])
                assert result["changed"] and not result["warnings"]
                changes += 1
        finally:
            done.set()
            traffic.join()
    (result,) = results
    assert (result.lost, result.mixed, result.intact) == (0, 0, True)
    assert result.sent >= 1_000_000 and all(result.by_pattern.values())
    told = host.run("status", {"deployment": NAME})
    assert told["missed"] == 0 and not [name for name, count in told["counters"].items() if name.endswith(".missed") and count]


@pytest.mark.parametrize("granularity", ["chain", "mnf"])
def test_swaps_under_load_lose_and_mix_nothing(lab: Lab, granularity: str) -> None:
    generations = [bundle(mark, granularity) for mark in (1, 2)]
    assert len(generations[0].programs) == {"chain": 1, "mnf": 6}[granularity]
    patterns = [bytes([mark] * 5) for mark in (1, 2)]
    done, results = threading.Event(), list[Result]()
    with lab.enter("dut"):
        apply(generations[0])
    with Load(lab, patterns) as load:
        traffic = threading.Thread(target=lambda: results.append(load.run(1_000_000, done)))
        traffic.start()
        try:
            with lab.enter("dut"):
                for turn in range(1, 10):
                    assert apply(generations[turn % 2]).changed
                rollback(NAME)
        finally:
            done.set()
            traffic.join()
    (result,) = results
    assert (result.lost, result.mixed, result.intact) == (0, 0, True)
    assert result.sent >= 1_000_000 and all(result.by_pattern.values()), "every generation handled some"
