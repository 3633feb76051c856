"""Protects co-existence: real HTTP through nftables in a namespace and a Linux in a virtual machine, both inside one chain."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.agent import functions, manifest, netlink, values
from ebpfnf.agent.observe import live_generation
from ebpfnf.bundle import encode
from ebpfnf.kernel.pins import Pins
from ebpfnf.lab import Lab
from ebpfnf.lab.http import fetch
from ebpfnf.vm import domain

pytestmark = [pytest.mark.vm, pytest.mark.lab]

EXAMPLE = Path(__file__).parents[2] / "examples" / "co-existence"
VIP = "198.51.100.7"


class Edge:
    """The lab with the whole example in it. The agent is a process each time: libvirt's driver serves one root until its process ends."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.name = f"whole-{os.getpid()}"
        with lab.enter("dut"):
            self.home = domain.home()
        self.environment = {**os.environ, "EBPFNF_LIBVIRT": f"qemu:///embed?root={self.home}/libvirt"}

    def agent(self, command: str, data: bytes | Mapping[str, Any]) -> Any:
        given = data if isinstance(data, bytes) else json.dumps(data).encode()
        argv = [sys.executable, "-m", "ebpfnf.agent", "--netns", self.lab.namespace("dut"), command]
        done = subprocess.run(argv, input=given, capture_output=True, env=self.environment)
        answer = json.loads(done.stdout.splitlines()[-1])
        assert "result" in answer, answer
        return answer["result"]

    def nft(self, verb: str) -> str:
        script = [str(EXAMPLE / "nftables.sh"), verb, self.lab.namespace("dut")]
        return subprocess.run(script, check=True, capture_output=True, text=True).stdout.strip()

    def status(self) -> dict[str, Any]:
        return dict(self.agent("status", {"deployment": self.name}))

    def functions(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.status()["functions"]}

    def machines(self) -> list[str]:
        return [folder.name for folder in self.home.glob("ebpfnf-image.*")]

    def kill_machine(self) -> None:
        (name,) = self.machines()
        os.kill(int(subprocess.check_output(["pgrep", "-f", f"guest={name}"]).split()[0]), signal.SIGKILL)

    def tell(self) -> None:
        """What `watch` does first: here nobody starts the machine again."""
        at = Pins(self.name)
        paths = at.generation(live_generation(at))
        found = manifest.decode(values.read(paths.manifest)[1])
        assert found
        with self.lab.enter("dut"):
            assert functions.refresh(paths, found, netlink.interfaces()) == ["linux"]


@pytest.fixture
def edge() -> Iterator[Edge]:
    linux = EXAMPLE / "linux"
    if not (linux / "initrd").exists() and subprocess.run([str(linux / "build.sh")]).returncode:
        pytest.skip("Debian's packages can't be had here: examples/co-existence/linux/build.sh")
    with Lab(f"whole{os.getpid()}") as lab:
        made = Edge(lab)
        made.nft("up")
        try:
            yield made
        finally:
            with contextlib.suppress(Exception):
                made.agent("undeploy", {"deployment": made.name})
            made.nft("down")
            shutil.rmtree(made.home, ignore_errors=True)
            Path(f"/run/ebpfnf/{made.name}.lock").unlink(missing_ok=True)


def test_http_through_both_and_past_a_machine_that_dies(edge: Edge) -> None:
    edge.agent("apply", encode(pipeline.build(dataclasses.replace(spec.load(EXAMPLE / "whole.yaml"), name=edge.name))))
    answers = fetch(edge.lab, VIP, 500)
    assert answers.ok and answers.sent == 500, answers
    both = edge.functions()
    for name in ("nft", "linux"):
        assert both[name]["sent"] == both[name]["returned"] > 4000 and both[name]["bypassed"] == 0, both[name]
    assert both["nft"]["sent"] == int(edge.nft("count"))
    assert both["linux"]["image"] == "running"

    edge.kill_machine()
    told, until = "function 'linux' has no carrier: packets go to it until watch or a deploy looks", time.monotonic() + 10
    while told not in (warned := edge.status()["warnings"]):  # the emulator lets go of the tap when it has ended
        assert time.monotonic() < until, warned
    edge.tell()
    assert fetch(edge.lab, VIP, 100).ok, "led past the machine that died"
    after = edge.functions()
    assert after["linux"]["bypassed"] >= 800 and after["linux"]["sent"] == both["linux"]["sent"] and after["linux"]["image"] == "gone"
    assert after["nft"]["sent"] == int(edge.nft("count")) and after["nft"]["bypassed"] == 0

    edge.agent("undeploy", {"deployment": edge.name})
    assert not edge.machines()
    assert "linux0" not in edge.lab.run_in("dut", ["ip", "-o", "link"], capture_output=True, text=True).stdout
