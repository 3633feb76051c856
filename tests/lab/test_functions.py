"""Protects co-existence: nftables in a namespace inside the example chain, real HTTP through both, and what `on_failure` promises."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.agent.apply import apply, reconcile, undeploy
from ebpfnf.agent.observe import observe
from ebpfnf.agent.status import status
from ebpfnf.lab import Lab
from ebpfnf.lab.frames import send, tcp_frame
from ebpfnf.lab.http import fetch

pytestmark = pytest.mark.lab

EXAMPLE = Path(__file__).parents[2] / "examples" / "co-existence"
NAME = f"coex-{os.getpid()}"
VIP = "198.51.100.7"


class Edge:
    """The lab with the example in it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def nft(self, verb: str) -> str:
        script = [str(EXAMPLE / "nftables.sh"), verb, self.lab.namespace("dut")]
        return subprocess.run(script, check=True, capture_output=True, text=True).stdout.strip()

    def deploy(self, on_failure: str) -> None:
        wanted = spec.load(EXAMPLE / "chain.yaml")
        functions = tuple(dataclasses.replace(each, on_failure=on_failure) for each in wanted.functions)
        with self.lab.enter("dut"):
            apply(pipeline.build(dataclasses.replace(wanted, name=NAME, functions=functions)))

    def reconcile(self) -> None:
        with self.lab.enter("dut"):
            reconcile(NAME)

    def status(self) -> dict[str, Any]:
        with self.lab.enter("dut"):
            return status(observe(NAME))

    def function(self) -> dict[str, Any]:
        (found,) = self.status()["functions"]
        return dict(found)

    def http(self, requests: int = 300) -> None:
        answers = fetch(self.lab, VIP, requests)
        assert answers.ok and answers.sent == requests, answers

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        end = time.monotonic() + 10
        while not holds(self.function()):
            assert time.monotonic() < end, self.function()
            time.sleep(0.02)


@pytest.fixture
def edge() -> Iterator[Edge]:
    with Lab(f"coex{os.getpid()}") as lab:
        made = Edge(lab)
        made.nft("up")
        try:
            yield made
        finally:
            with lab.enter("dut"):
                undeploy(NAME)
            made.nft("down")
            Path(f"/run/ebpfnf/{NAME}.lock").unlink(missing_ok=True)


def test_http_goes_through_nftables_and_past_it_where_it_is_down(edge: Edge) -> None:
    edge.deploy("bypass")
    assert not edge.status()["warnings"]
    edge.http(1000)
    assert send(edge.lab, "client", "eth0", [tcp_frame("02:00:00:00:09:01", "02:00:00:00:02:01", "192.0.2.77", 4000, VIP, 22)] * 7) == 7
    through = edge.function()
    assert through["sent"] == int(edge.nft("count")) > 4000, "nftables saw what was sent to it"
    assert through["sent"] - through["returned"] == 7, "it dropped what its rules name, and nothing else"
    assert (through["bypassed"], through["dropped"]) == (0, 0)

    watch = [sys.executable, "-m", "ebpfnf.agent", "--netns", edge.lab.namespace("dut"), "watch"]
    with subprocess.Popen(watch, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as watching:
        assert watching.stdin
        try:
            watching.stdin.write(f'{{"deployment": "{NAME}"}}')
            watching.stdin.close()
            edge.nft("cut")
            edge.until(lambda function: not function["sent_to"])
            edge.http()
            cut = edge.function()
            assert cut["sent"] == int(edge.nft("count")) and cut["bypassed"] > 1000
            assert "function 'nft' has no carrier: packets are led past it" in edge.status()["warnings"]
            edge.nft("mend")
            edge.until(lambda function: function["sent_to"])
            edge.http()
        finally:
            watching.terminate()
    mended = edge.function()
    assert mended["bypassed"] == cut["bypassed"] and mended["sent"] == int(edge.nft("count")) > cut["sent"]

    edge.nft("down")  # nobody watches: the kernel itself takes a gone interface out
    try:
        edge.http()
        assert edge.function()["bypassed"] > mended["bypassed"] + 1000
    finally:
        edge.nft("up")


def test_drop_is_counted_and_ends_with_the_fault(edge: Edge) -> None:
    edge.deploy("drop")
    edge.nft("cut")
    assert any("packets go to it until" in words for words in edge.status()["warnings"])
    edge.reconcile()
    answers = fetch(edge.lab, VIP, 4, timeout=0.4)
    assert not answers.by_backend
    down = edge.function()
    assert down["sent"] == 0 and down["dropped"] == edge.status()["drops"]["nft.function_down"] >= 4
    edge.nft("mend")
    edge.reconcile()
    edge.http(50)
    assert edge.function()["dropped"] == down["dropped"] and edge.function()["sent"] == int(edge.nft("count"))
