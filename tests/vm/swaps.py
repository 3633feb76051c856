"""Swaps of a VM under load."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.vm.conftest import Host

RATE = 22_000  # packets a second
_SENDER = """
import os, select, socket, sys, time
os.nice(-10)  # packets come, whatever else this machine does
frames = [bytes.fromhex(text) for text in sys.argv[2:]]
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(("a1", 0))
sent, begin = 0, time.monotonic()
while time.monotonic() - begin < 300:
    behind = int((time.monotonic() - begin) * float(sys.argv[1])) - sent
    for _ in range(min(behind, 64)):  # no burst fills a queue
        out.send(frames[sent % len(frames)])
        sent += 1
    time.sleep(0.001)
    if select.select([sys.stdin], [], [], 0)[0]:
        break
print(sent)
"""


@dataclass(frozen=True, slots=True)
class Swapped:
    """What came of it: none was lost, so those that did not come the chain refused, counted."""

    swaps: int
    sent: int
    refused: int
    rate: float  # packets a second that came out, from the first swap's begin to the last one's end

    def __str__(self) -> str:
        return f"{self.swaps} swaps, {self.sent} packets, {self.rate:.0f}/s came out, none lost, {self.refused} refused"


def swapped(host: Host, versions: Sequence[str], frames: Sequence[bytes], pause: float = 0) -> Swapped:
    """Deploys one version, then, while frames come, each of the others."""
    for version in versions:
        host.bundle(version)  # compiled before the load comes
    host.deploy(versions[0])
    before = host.received("b1")
    words = [sys.executable, "-c", _SENDER, str(RATE), *(frame.hex() for frame in frames)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sender:
        while host.received("b1") == before:
            assert sender.poll() is None
            time.sleep(0.01)
        first, began = host.received("b1"), time.monotonic()
        (old,) = host.machines()
        for version in versions[1:]:
            host.deploy(version)
            (new,) = host.machines()
            assert new.name != old.name
            old = new
            time.sleep(pause)
        rate = (host.received("b1") - first) / (time.monotonic() - began)
        said, _ = sender.communicate("stop\n", timeout=60)
    return Swapped(len(versions) - 1, int(said), arrived(host, before, int(said)), rate)


def arrived(host: Host, before: int, sent: int) -> int:
    """Wait until all have come but those that the chain refused, since a guest had as many as it may have: how many that were."""

    def counted() -> tuple[dict[str, int], int]:
        told = host.status()
        return told["counters"], told["strays"]

    end = time.monotonic() + 10
    while host.received("b1") - before < sent - counted()[0]["x.vm_tap_full"] and time.monotonic() < end:
        time.sleep(0.05)
    counters, strays = counted()
    slow = counters["x.vm_tap_full"]
    told = {name: n for name, n in counters.items() if n}
    assert (host.received("b1") - before, counters["vm.unknown"], strays) == (sent - slow, 0, 0), told
    return slow
