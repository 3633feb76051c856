"""A guest that drops all that a chain sends it: how many receipts come back, and what becomes of the packets without one."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import chains, microvm
from benchmarks.measure import ROUNDS, Figure, figure
from ebpfnf import packets
from ebpfnf.agent.apply import apply, undeploy
from ebpfnf.agent.observe import observe
from ebpfnf.agent.status import total

_RATES = 20_000, 50_000, 100_000, 200_000  # packets a second
_MILLISECONDS = "2000"
_CHAIN = """
ebpfnf: 1
deployment: {name}
ports:
  a: {{interface: drop0}}
vnfs:
  x: {{vnf: intrusion-detection, rules: ['drop udp any any -> any any (content:"drop me"; sid:1;)'], on_failure: drop}}
chains:
  all: {{on: a, match: {{}}, path: [x], then: "out: a"}}
"""


def figures(scratch: Path) -> Iterator[Figure]:
    """In the namespace that the caller is in."""
    flood = scratch / "flood"
    subprocess.run(["gcc", "-O2", "-o", str(flood), str(microvm.HERE / "flood.c")], check=True)
    name = f"bench-receipts-{os.getpid()}"
    frame = packets.build("udp 192.0.2.9:4000 > 198.51.100.7:80 payload 'drop me'").ljust(60, b"\0").hex()
    samples: dict[int, list[tuple[float, ...]]] = {rate: [] for rate in _RATES}
    with ExitStack() as stack:
        subprocess.run(["ip", "link", "add", "drop0", "up", "type", "veth", "peer", "name", "drop1"], check=True)
        stack.callback(subprocess.run, ["ip", "link", "del", "drop0"], check=True)
        subprocess.run(["ip", "link", "set", "drop1", "up"], check=True)
        stack.callback(undeploy, name)
        apply(chains.build(chains.load(_CHAIN.format(name=name))))
        for number in range(ROUNDS):
            for rate in _RATES if number % 2 else reversed(_RATES):
                before = _counted(name)
                done = subprocess.run([flood, "drop1", str(rate), _MILLISECONDS, frame], check=True, capture_output=True, text=True)
                sent, ns = map(int, done.stdout.split())
                told, refused = _since(name, before, sent)
                samples[rate].append((sent / ns * 1e6, told / ns * 1e6, 100 * refused / sent, abs(sent - told - refused)))
    for rate, each in samples.items():
        reached, receipts, refused_share, lost = zip(*each, strict=True)
        yield figure(f"all dropped, {rate:,}/s wanted: sent", reached, "k/s")
        yield figure(f"all dropped, {rate:,}/s wanted: told by a receipt", receipts, "k/s")
        yield figure(f"all dropped, {rate:,}/s wanted: refused before the guest", refused_share, "%")
        yield figure(f"all dropped, {rate:,}/s wanted: lost or unknown", lost, "", 0.0)


def _counted(name: str) -> tuple[int, int]:
    """Dropped by a receipt; refused, since as many as may be were in the guest."""
    counters = total(observe(name, vms=False)).counters
    return counters["x.rule"], counters["x.vm_tap_full"]


def _since(name: str, before: tuple[int, int], sent: int) -> tuple[int, int]:
    """What was counted since, when all is, or after two seconds."""
    end = time.monotonic() + 2
    while True:
        told, refused = (now - then for now, then in zip(_counted(name), before, strict=True))
        if told + refused >= sent or time.monotonic() > end:
            return told, refused
        time.sleep(0.02)
