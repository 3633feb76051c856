"""Protects co-existence: nftables in a namespace inside the example chain, real HTTP through both, and what `on_failure` promises."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.agent.apply import apply, reconcile, undeploy
from ebpfnf.agent.observe import observe
from ebpfnf.agent.status import status
from ebpfnf.lab import Lab, namespaces
from ebpfnf.lab.frames import send, tcp_frame
from ebpfnf.lab.http import fetch
from ebpfnf.model import Deployment

pytestmark = pytest.mark.lab

EXAMPLE = Path(__file__).parents[2] / "examples" / "co-existence"
NAME = f"coex-{os.getpid()}"
VIP = "198.51.100.7"
DROPS = """
ebpfnf: 1
deployment: drops
ports: {wan: {interface: eth0}, nft-wan: {interface: nft0}, nft-lan: {interface: nft1, otherwise: drop}}
functions: {nft: {attached: [nft-wan, nft-lan], on_failure: drop}}
chains:
  inbound: {on: wan, match: {ip.dst: 198.51.100.7}, path: [], then: {out: nft-wan}}
"""


class Edge:
    """The lab with the example in it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def nft(self, verb: str) -> str:
        script = [str(EXAMPLE / "nftables.sh"), verb, self.lab.namespace("dut")]
        return subprocess.run(script, check=True, capture_output=True, text=True).stdout.strip()

    def deploy(self, wanted: Deployment) -> None:
        with self.lab.enter("dut"):
            apply(pipeline.build(dataclasses.replace(wanted, name=NAME)))

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


@contextmanager
def a_lab() -> Iterator[Edge]:
    """With nothing deployed; afterwards with nothing again."""
    with Lab(f"coex{os.getpid()}") as lab:
        try:
            yield Edge(lab)
        finally:
            with lab.enter("dut"):
                undeploy(NAME)
            Path(f"/run/ebpfnf/{NAME}.lock").unlink(missing_ok=True)


@pytest.fixture
def edge() -> Iterator[Edge]:
    with a_lab() as made:
        made.nft("up")
        try:
            yield made
        finally:
            made.nft("down")


def test_http_goes_through_nftables_and_past_it_where_it_is_down(edge: Edge) -> None:
    edge.deploy(spec.load(EXAMPLE / "chain.yaml"))
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


def test_drop_is_counted_and_ends_with_the_fault(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "chain.yaml").write_text(DROPS)
    edge.deploy(spec.load(tmp_path / "chain.yaml"))
    edge.nft("cut")
    assert any("packets go to it until" in words for words in edge.status()["warnings"])
    edge.reconcile()
    frames = [tcp_frame("02:00:00:00:09:01", "02:00:00:00:02:01", "192.0.2.77", 4000 + k, VIP, 80) for k in range(50)]
    assert send(edge.lab, "client", "eth0", frames) == 50
    down = edge.function()
    assert (down["sent"], down["dropped"]) == (0, 50) and edge.status()["drops"]["nft.function_down"] == 50
    edge.nft("mend")
    edge.reconcile()
    assert send(edge.lab, "client", "eth0", frames) == 50
    up = edge.function()
    assert (up["sent"], up["dropped"]) == (int(edge.nft("count")), 50) == (50, 50)


def test_haproxy_behind_one_port_is_spoken_to_and_speaks_for_itself() -> None:
    if not shutil.which("haproxy"):
        pytest.skip("missing: haproxy (apt-get install haproxy)")
    with a_lab() as edge:
        script, dut = str(EXAMPLE / "proxy.sh"), edge.lab.namespace("dut")
        subprocess.run([script, "up", dut], check=True)
        try:
            edge.deploy(spec.load(EXAMPLE / "proxy.yaml"))
            with namespaces.entered(f"{dut}-proxy"):
                proxy = subprocess.Popen(["haproxy", "-f", str(EXAMPLE / "haproxy.cfg")])
            try:
                until = time.monotonic() + 10
                while not fetch(edge.lab, VIP, 1).ok:  # it does not listen yet
                    assert time.monotonic() < until
                answers = fetch(edge.lab, VIP, 1000)
                assert answers.ok and max(answers.by_backend.values()) - min(answers.by_backend.values()) <= 1, (
                    answers
                )  # in turn, as HAProxy does
                assert not [name for name, count in edge.status()["drops"].items() if count]
                assert (
                    send(edge.lab, "client", "eth0", [tcp_frame("02:00:00:00:09:01", "02:00:00:00:02:01", "192.0.2.77", 4000, VIP, 22)] * 7)
                    == 7
                )
                edge.until(lambda _: edge.status()["drops"]["edge.acl_deny"] == 7)
                told, proxied = edge.status(), edge.function()
                sums = {chain["name"]: chain["packets"] for chain in told["chains"]}
                assert min(sums.values()) >= 3000 and sums["clients"] - 7 + sums["backends"] == proxied["sent"]
                assert 0 <= proxied["returned"] - sums["answers"] - sums["questions"] == told["counters"]["port.proxy.otherwise"]  # its ARP
            finally:
                proxy.terminate()
                proxy.wait()
        finally:
            subprocess.run([script, "down", dut], check=True)
