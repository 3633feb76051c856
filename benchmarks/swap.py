"""What a swap costs the traffic: packets lost, and the longest time without one, while the command line redeploys beside it."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import chains
from benchmarks.frames import Mix
from benchmarks.measure import ROUNDS, Figure, Unavailable, figure
from benchmarks.memory import PLAN, compiled, loaded
from ebpfnf.kernel import links, maps, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.lab.lab import Lab
from ebpfnf.lab.topology import LINE

_MARKS = {"plan": 1, "sink": 2, "arm": 3, "ports": 4}
_CHUNK = 200_000  # packets of one call
_SEEN = struct.Struct("=3Q")


def run(rounds: int = ROUNDS) -> list[Figure]:
    """By turns: nothing happens, a plan is made, which is the same work on the other CPU, and a changed file is deployed."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise Unavailable("two CPUs: one for the traffic, one for who changes it")
    files = [Path(chains.bench4(rules=rules, name="bench-swap", tables="direct").file) for rules in (32, 33)]
    with _Traffic(cpus[-1]) as traffic:
        traffic.ebpfnf("deploy", str(files[0]))
        try:
            live = 0
            lost: dict[str, list[float]] = {arm: [] for arm in ("nothing", "plan", "swap")}
            gaps: dict[str, list[float]] = {arm: [] for arm in lost}
            took: list[float] = []
            sent = 0
            for turn in range(min(5, rounds)):
                for arm in list(lost)[:: 1 if turn % 2 == 0 else -1]:
                    other = files[1 - live]
                    arguments = {"nothing": (), "plan": ("plan", str(other)), "swap": ("deploy", str(other), "--discard-entries", "-y")}[
                        arm
                    ]
                    began = time.perf_counter()
                    count, arrived, longest = traffic.during(partial(traffic.ebpfnf, *arguments) if arguments else partial(time.sleep, 1))
                    if arm == "swap":
                        took.append(time.perf_counter() - began)
                        live = 1 - live
                        sent += count
                    lost[arm].append(count - arrived)
                    gaps[arm].append(longest / 1e3)
        finally:
            traffic.ebpfnf("undeploy", "-y", "bench-swap")
    rates = {"nothing": "nothing happens", "plan": "a plan is made", "swap": "a swap"}
    return [
        *(figure(f"longest time without a packet, {words}", gaps[arm], "us") for arm, words in rates.items()),
        *(figure(f"packets lost, {words}", lost[arm], "packets", 0 if arm == "swap" else None) for arm, words in rates.items()),
        figure("packets sent during all swaps", [sent], "packets"),
        figure("a swap, by the command line beside the traffic", took, "s"),
    ]


class _Traffic:
    """A context manager: source, device under test and far end in a lab, the source on one CPU, all else on the others."""

    def __init__(self, cpu: int) -> None:
        self._cpu = cpu

    def __enter__(self) -> _Traffic:
        with ExitStack() as stack:
            before = os.sched_getaffinity(0)
            stack.callback(os.sched_setaffinity, 0, before)
            os.sched_setaffinity(0, before - {self._cpu})
            self._lab = stack.enter_context(Lab("bench-swap", LINE))
            self._plan, self._seen = (stack.enter_context(Map(maps.create("array", 4, size, 1, 0, "swap"))) for size in (PLAN, _SEEN.size))
            (self._emit,) = (loaded(stack, p, {"plan": self._plan.fd}) for p in compiled("rig.c", ("emit",), _MARKS))
            (timed,) = (loaded(stack, p, {"sink": self._seen.fd}) for p in compiled("swap.c", ("timed",), _MARKS))
            with self._lab.enter("sink"):
                stack.callback(os.close, links.create_xdp(timed, socket.if_nametoindex("eth0")))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ebpfnf(self, *arguments: str) -> None:
        """The command line in the device under test."""
        command = [sys.executable, "-m", "ebpfnf.cli.main", "--netns", self._lab.namespace("dut"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in (0, 2):  # 2: a plan has something to do
            raise RuntimeError(f"ebpfnf {' '.join(arguments)}: {done.stderr.strip()}")

    def during(self, work: Callable[[], object]) -> tuple[int, int, int]:
        """Packets sent and arrived while `work` was done, and a little before and behind it; the longest gap in ns."""
        self._plan.update(bytes(4), Mix().plan())
        self._seen.update(bytes(4), bytes(_SEEN.size))
        done, running = threading.Event(), threading.Event()
        sent, failed = [0], list[BaseException]()

        def source() -> None:
            try:
                os.sched_setaffinity(0, {self._cpu})
                with self._lab.enter("client"):
                    interface = socket.if_nametoindex("eth0")
                    while not done.is_set():
                        programs.send(self._emit, bytes(64), count=_CHUNK, ifindex=interface)
                        sent[0] += _CHUNK
                        self._pause()
                        running.set()
            except BaseException as error:
                failed.append(error)
            finally:
                running.set()

        thread = threading.Thread(target=source)
        thread.start()
        try:
            running.wait()
            work()
        finally:
            done.set()
            thread.join()
        if failed:
            raise failed[0]
        packets, _, longest = _SEEN.unpack(self._seen.lookup(bytes(4)) or b"")
        return sent[0], packets, longest

    def _pause(self) -> None:
        """Between two calls nothing is on its way: that is no gap."""
        packets, _, longest = _SEEN.unpack(self._seen.lookup(bytes(4)) or b"")
        self._seen.update(bytes(4), _SEEN.pack(packets, 0, longest))
