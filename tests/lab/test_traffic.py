"""Protects: the load counts truly. A lost, a doubled or a mixed packet is seen, and without any it says so."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

from ebpfnf.kernel import links, programs
from ebpfnf.kernel.insn import alu, alu_reg, call, jump_reg, leave, load, store_imm
from ebpfnf.lab import Lab
from ebpfnf.lab.topology import LINE
from ebpfnf.lab.traffic import PAYLOAD, Load

pytestmark = pytest.mark.lab

REDIRECT = 23


def forwarder(ifindex: int, marks: list[int], drop_number: int = -1) -> int:
    """A program that leaves marks and sends on; it drops the packets with the number in byte 0 `drop_number`."""
    body = b"".join(store_imm(1, 2, PAYLOAD + 8 + slot, mark) for slot, mark in enumerate(marks))
    send = alu("mov", 1, ifindex) + alu("mov", 2, 0) + call(REDIRECT) + leave()
    odd = b"" if drop_number < 0 else load(1, 5, 2, PAYLOAD) + alu("mov", 0, drop_number) + jump_reg("jne", 5, 0, 2) + leave(1)
    check = load(4, 2, 1, 0) + load(4, 3, 1, 4) + alu_reg("mov", 4, 2) + alu("add", 4, 96)
    return programs.load(check + jump_reg("jgt", 4, 3, len(odd + body) // 8) + odd + body + send, "forward")


@pytest.fixture(scope="module")
def lab():
    with Lab(f"line{os.getpid()}", LINE) as lab:
        yield lab


@pytest.fixture
def attach(lab: Lab):
    fds = []

    def attach(*arguments, **options):
        with lab.enter("dut"):
            fds.append(forwarder(socket.if_nametoindex("eth1"), *arguments, **options))
            fds.append(links.create_xdp(fds[-1], socket.if_nametoindex("eth0")))
        return fds[-1]

    yield attach
    for fd in reversed(fds):
        os.close(fd)


def test_whole_traffic_is_whole_and_fast_enough(lab: Lab, attach) -> None:
    attach([7, 7, 7])
    with Load(lab, [b"\7\7\7", b"\1"]) as load:
        result = load.run(1_000_000)
        assert (result.sent, result.lost, result.mixed) == (1_000_000, 0, 0)
        assert dict(result.by_pattern) == {b"\7\7\7": 1_000_000, b"\1": 0}
        assert result.whole
        assert load.run(1000).sent == 1000


def test_a_mixed_packet_is_seen(lab: Lab, attach) -> None:
    attach([7, 7, 8])
    with Load(lab, [b"\7\7\7", b"\x08\x08\x08"]) as load:
        result = load.run(1000)
    assert (result.lost, result.mixed, result.whole) == (0, 1000, False)


def test_lost_packets_are_counted_exactly(lab: Lab, attach) -> None:
    attach([7], drop_number=5)
    with Load(lab, [b"\7"]) as load:
        result = load.run(2560)
    assert (result.sent, result.received, result.lost, result.whole, result.intact) == (2560, 2550, 10, False, False)


def test_it_goes_on_until_told(lab: Lab, attach) -> None:
    link = attach([1])
    with lab.enter("dut"):
        second = forwarder(socket.if_nametoindex("eth1"), [2])
    done, results = threading.Event(), []
    try:
        with Load(lab, [b"\1", b"\2"]) as load:
            thread = threading.Thread(target=lambda: results.append(load.run(1000, done)))
            thread.start()
            time.sleep(0.2)
            links.update(link, second)
            time.sleep(0.2)
            done.set()
            thread.join()
    finally:
        os.close(second)
    assert results[0].sent > 1000 and all(results[0].by_pattern.values())
    assert results[0].received == sum(results[0].by_pattern.values())


def test_a_dead_way_ends_the_run_and_the_next_one_is_not_held_up(lab: Lab, attach) -> None:
    with Load(lab, [b"\7"]) as load:
        result = load.run(300)
        assert (result.sent, result.received, result.whole) == (300, 0, False)
        attach([7])
        assert load.run(10_000).whole
