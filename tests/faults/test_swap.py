"""Swaps under traffic: every frame that arrives enters exactly one generation, whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ebpfnf.kernel.insn import XDP_DROP, XDP_PASS
from tests.faults.bench import FRAME, Bench

pytestmark = pytest.mark.faults

_SENDER = """
import sys
from ebpfnf.agent import netlink
from ebpfnf.kernel import insn, programs
netlink.enter(sys.argv[1])
back = programs.load(insn.leave(insn.XDP_TX), "sender")
ifindex = netlink.interfaces()["wan1"].ifindex
for turn in range(100):
    programs.send(back, bytes.fromhex(sys.argv[2]), count=2000, ifindex=ifindex)
"""


def arrived(bench: Bench) -> int:
    """Frames that the driver of wan0 handed to XDP."""
    told = subprocess.run(["ip", "-n", bench.netns, "-s", "-j", "link", "show", "wan0"], capture_output=True, check=True)
    return int(json.loads(told.stdout)[0]["stats64"]["rx"]["packets"])


def test_no_frame_is_lost_or_missed(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_DROP))
    before = arrived(bench)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    sender = subprocess.Popen([sys.executable, "-c", _SENDER, bench.netns, FRAME.hex()], env=environment)
    swaps = 0
    try:
        while sender.poll() is None and swaps < 20:
            bench.apply(bench.chain(XDP_PASS if swaps % 5 == 4 else XDP_DROP, layout=1 + swaps % 3))
            swaps += 1
    finally:
        assert sender.wait() == 0
    status = bench.status()
    assert swaps >= 3 and status["missed"] == 0 == status["counters"]["chain.in.missed"]
    bench.sent = arrived(bench) - before
    assert status["counters"]["in.entered"] == bench.sent > 10_000
    bench.tidy()


def test_status_is_true_while_swaps_go_on(bench: Bench) -> None:
    """A reader takes no lock; it never sees nothing live, a half of a generation or one counted twice."""
    bench.apply(bench.chain(XDP_DROP))
    bench.answer("wan", count=1000)
    writer = os.fork()
    if writer == 0:
        try:
            for turn in range(12):
                bench.apply(bench.chain(XDP_PASS if turn % 2 else XDP_DROP, layout=turn % 3 + 2))
        finally:
            os._exit(0)
    while os.waitpid(writer, os.WNOHANG) == (0, 0):
        status = bench.status()
        assert status["running"] and status["counters"]["in.entered"] == 1000 and status["warnings"] == []
    bench.tidy()
