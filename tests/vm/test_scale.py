"""More machines for a stage and fewer, while connections last whose state only the machine has that saw them begin."""

from __future__ import annotations

import threading
import time

import pytest

from ebpfnf import packets
from ebpfnf.agent import apply
from ebpfnf.agent.private import PrivateCopy
from tests.vm import deployments
from tests.vm.conftest import Host
from tests.vm.frames import Connection

pytestmark = pytest.mark.vm

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
EACH = 32  # connections that begin in each phase


class Talk(threading.Thread):
    """Connections that send their next bytes in turn until they are told to stop; `begin` lets more of them begin."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._line = host.socket("a1")
        self._open: list[list[int | Connection]] = []
        self._more, self._ended = 0, threading.Event()
        self.sent = 0
        self.start()

    def begin(self, count: int) -> None:
        self._more += count
        while self._more and self.is_alive():
            time.sleep(0.01)

    def run(self) -> None:
        while not self._ended.is_set():
            while self._more:
                fresh = Connection(1, f"192.0.2.9:{4000 + len(self._open)}")
                self._send(fresh.syn())
                self._send(fresh.data(0, REQUEST))
                self._open.append([fresh, len(REQUEST)])
                self._more -= 1
            for each in self._open:
                connection, at = each
                self._send(connection.data(at, b"x" * 20))  # type: ignore[union-attr, arg-type]
                each[1] = at + 20  # type: ignore[operator]
            time.sleep(0.005)

    def _send(self, frame: bytes) -> None:
        self._line.send(frame)
        self.sent += 1

    def end(self) -> int:
        self._ended.set()
        self.join()
        self._line.close()
        return self.sent


def roles(host: Host) -> list[tuple[str, str]]:
    return [(vm["state"], vm["role"]) for vm in host.status()["vms"]]


def test_no_flow_is_steered_to_another_machine_while_a_stage_is_scaled_out_and_in(host: Host) -> None:
    for params in ("", ", instances: 2"):
        host.bundle(f"{params}, linger: 1s", deployments.REASM)  # compiled before the traffic comes
    host.deploy(", linger: 1s", deployments.REASM)
    before, talk = host.received("b1"), Talk(host)
    try:
        talk.begin(EACH)
        host.deploy(", instances: 2, linger: 1s", deployments.REASM)
        talk.begin(EACH)
        assert roles(host) == [("running", "serves")] * 2
        host.deploy(", linger: 1s", deployments.REASM)
        assert roles(host) == [("running", "serves"), ("running", "leaves")]
        talk.begin(EACH)
        time.sleep(0.3)
        first, second = host.status()["vms"]
    finally:
        sent = talk.end()
    assert first["flows"] + second["flows"] == 3 * EACH and EACH / 8 < second["flows"] < EACH
    deadline = time.monotonic() + 5
    while host.received("b1") - before < sent - host.counter("x.vm_tap_full") and time.monotonic() < deadline:
        time.sleep(0.05)
    told = host.status()
    assert host.received("b1") - before == sent - told["drops"]["x.vm_tap_full"]
    assert (told["counters"]["x.vm_moved"], told["drops"]["x.unknown_connection"]) == (0, 0)
    opened = [vm["counters"]["tcp_reasm.opened"] for vm in told["vms"]]
    assert sum(opened) == 3 * EACH and opened[1] == second["flows"]
    time.sleep(2.5)  # longer than linger, in the coarse units in which flows are timed
    apply.reconcile(host.name)
    assert roles(host) == [("running", "serves")]


def test_who_stands_by_wakes_for_a_larger_number_of_instances_and_rests_again(host: Host) -> None:
    host.deploy(", standby: 1, linger: 1s")
    assert roles(host) == [("running", "serves"), ("paused", "stands by")] and not host.status()["warnings"]
    first, second = host.machines()
    done = host.deploy(", instances: 2, standby: 0, linger: 1s")
    assert any("no virtual machine starts, 1 wake up, 1 are taken over" in action for action in done.actions)
    assert [each.name for each in host.machines()] == [first.name, second.name]
    host.deploy(", standby: 1, linger: 1s")  # no flow is known there, so it rests at once
    assert roles(host) == [("running", "serves"), ("paused", "stands by")]


def test_a_flow_stays_where_it_is_known_and_a_new_one_goes_where_new_ones_are_taken() -> None:
    """On a private copy only tap 1 gives packets back: what another were sent would be unknown when it comes."""
    known, new = (packets.build(f"udp 192.0.2.9:{port} > 198.51.100.7:80 payload 'x'") for port in (1, 2))
    back = packets.build("udp 198.51.100.7:80 > 192.0.2.9:1 payload 'x'")
    with PrivateCopy(deployments.bundle()) as copy:

        def went_to_tap_1(frame: bytes, port: str = "a") -> bool:
            return copy.run(frame, port, 1).counter.name != "vm.unknown"

        assert went_to_tap_1(known)
        copy.vms_serve(0, (2,), (1,))
        assert went_to_tap_1(known) and went_to_tap_1(back, "b") and not went_to_tap_1(new)
        copy.vms_serve(0, (1,), (2,))
        assert went_to_tap_1(known) and not went_to_tap_1(new)
        assert copy.counts()["x.vm_moved"] == 0
        copy.vms_serve(0, (1,))
        assert went_to_tap_1(new) and went_to_tap_1(new) and copy.counts()["x.vm_moved"] == 1
        copy.vms_serve(0, ())
        assert not went_to_tap_1(known) or copy.counts()["x.vm_down"] == 1
        copy.vms_serve(0, (3,), (1,))
        assert went_to_tap_1(known) and copy.counts()["x.vm_moved"] == 1


def test_new_flows_are_spread_and_a_machine_more_takes_none_that_goes_elsewhere() -> None:
    """Flows that no table remembers: the draw alone decides. With a third tap nobody goes from the first to the second."""
    frames = [packets.build(f"udp 192.0.2.9:{port} > 198.51.100.7:80 payload 'x'") for port in range(1, 201)]

    def to_tap_1(taps: tuple[int, ...]) -> set[int]:
        with PrivateCopy(deployments.bundle()) as copy:
            copy.vms_serve(0, taps)
            return {i for i, frame in enumerate(frames) if copy.run(frame, "a", 1).counter.name != "vm.unknown"}

    two, three = to_tap_1((1, 2)), to_tap_1((1, 2, 3))
    assert three < two and 70 < len(two) < 130 and 40 < len(three) < 95
