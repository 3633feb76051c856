"""Swaps of a VM under load: each frame that went in comes out."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ebpfnf import packets
from tests.vm.conftest import Host, emulator
from tests.vm.swaps import arrived, swapped

pytestmark = pytest.mark.vm

SWAPS = 10


def test_no_frame_is_lost_while_vms_are_swapped(host: Host) -> None:
    frames = [packets.build(f"udp 192.0.2.9:{4000 + flow} > 198.51.100.7:80 payload 'load'") for flow in range(64)]
    print(swapped(host, [("", ", smallest: 200")[swap % 2] for swap in range(SWAPS + 1)], frames))


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
