"""Swaps of a VM under load: each frame that went in comes out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from ebpfnf import packets
from tests.vm import deployments
from tests.vm.conftest import Host, emulator

pytestmark = pytest.mark.vm

SWAPS = 10
RATE = 20_000  # packets a second
_SENDER = """
import socket, sys, time
frames = [bytes.fromhex(text) for text in sys.argv[2:]]
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(("a1", 0))
sent, begin = 0, time.monotonic()
while not sys.stdin.closed and time.monotonic() - begin < 300:
    behind = int((time.monotonic() - begin) * float(sys.argv[1])) - sent
    for _ in range(min(behind, 64)):  # no burst fills a queue
        out.send(frames[sent % len(frames)])
        sent += 1
    time.sleep(0.001)
    import select
    if select.select([sys.stdin], [], [], 0)[0]:
        break
print(sent, time.monotonic() - begin)
"""


def test_no_frame_is_lost_while_vms_are_swapped(host: Host) -> None:
    versions = ("", ", smallest: 200")
    for version in versions:
        deployments.bundle(version, name=host.name, ports=("a0", "b0"))  # compiled before the load comes
    host.deploy(versions[0])
    frames = [packets.build(f"udp 192.0.2.9:{4000 + flow} > 198.51.100.7:80 payload 'load'").hex() for flow in range(64)]
    before = host.received("b1")
    sender = subprocess.Popen([sys.executable, "-c", _SENDER, str(RATE), *frames], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    names = set()
    for swap in range(1, SWAPS + 1):
        host.deploy(versions[swap % 2])
        names |= {(swap, each.name) for each in host.machines()}
    said, _ = sender.communicate("stop\n", timeout=60)
    sent, seconds = int(said.split()[0]), float(said.split()[1])
    slow = arrived(host, before, sent)
    assert len(names) == SWAPS
    print(f"{SWAPS} swaps, {sent} packets at {sent / seconds:.0f}/s, none lost, {slow} refused")


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


def test_a_guest_that_does_not_run_for_a_while_loses_nothing_that_it_was_sent(host: Host) -> None:
    host.deploy()
    frame = packets.build("udp 192.0.2.9:4000 > 198.51.100.7:80 payload 'load'")
    sent, before = 12_000, host.received("b1")
    process = emulator(host)
    with host.socket("a1") as source:
        os.kill(process, signal.SIGSTOP)
        try:
            for number in range(sent):
                source.send(frame)
                if not number % 64:
                    time.sleep(0.001)
        finally:
            os.kill(process, signal.SIGCONT)
        slow = arrived(host, before, sent)
        assert sent - 3850 < slow <= sent - 3840 and host.status()["vms"][0]["tap_dropped"] == 0
        source.send(frame)
        assert arrived(host, before, sent + 1) == slow  # it has room again
