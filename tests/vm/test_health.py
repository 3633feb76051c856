"""A guest that ends or hangs: the declared policy holds within a second, and the watch starts it again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ebpfnf import packets
from ebpfnf.vm import lifecycle
from tests.vm import deployments
from tests.vm.conftest import Host, emulator

pytestmark = pytest.mark.vm

FRAME = packets.build("udp 192.0.2.9:4000 > 198.51.100.7:80 payload 'x'")
_WATCH = """
import sys, signal
from ebpfnf.agent.watch import Watch
watch = Watch(sys.argv[1], lambda step, details: print(step, details["what"], details["detail"], flush=True))
signal.signal(signal.SIGTERM, lambda *_: watch.ended.set())
print("watching", flush=True)
watch.run()
"""


@pytest.fixture(autouse=True)
def apart(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt of its own: what this process opened in other tests it holds until it ends."""
    monkeypatch.setenv("EBPFNF_LIBVIRT", f"qemu:///embed?root=/run/ebpfnf/vms/watch-{os.getpid()}")


@contextmanager
def watching(host: Host) -> Iterator[None]:
    """A watch in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WATCH, host.name], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def passes(host: Host) -> bool:
    """Whether a frame comes through in time."""
    with host.socket("a1") as source, host.socket("b1") as sink:
        sink.settimeout(0.2)
        source.send(FRAME)
        try:
            while sink.recv(2048)[12:14] != b"\x08\x00":
                pass
        except TimeoutError:
            return False
        return True


def until(what: object, seconds: float) -> float:
    """Seconds until `what()` is true."""
    begin = time.monotonic()
    while not what():  # type: ignore[operator]
        assert time.monotonic() - begin < seconds, "not in time"
        time.sleep(0.02)
    return time.monotonic() - begin


def status(host: Host) -> Any:
    """What a person is told, by a process of its own: libvirt is asked, so no watch may be about to."""
    return json.loads(host.agent("status", json.dumps({"deployment": host.name}).encode()).splitlines()[-1])["result"]


def history(host: Host) -> dict[str, int]:
    """What became of machines, as status counts it."""
    counters = status(host)["counters"]
    return {name.removeprefix("x.vm_"): counters.get(name, 0) for name in ("x.vm_failed", "x.vm_started_again", "x.vm_moved")}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_guest_that_ends_or_hangs_is_bypassed_and_started_again(host: Host, how: int) -> None:
    host.deploy_apart(", on_failure: bypass")
    assert passes(host)
    with watching(host):
        before = host.counter("x.from_vm")
        os.kill(emulator(host), how)
        took = until(lambda: passes(host), 5)  # by the bypass: nobody starts a VM so soon
        assert host.counter("x.vm_down") >= 1
        until(lambda: passes(host) and host.counter("x.from_vm") > before, 60)
        print(f"bypassed after {took:.2f} s")
    assert history(host) == {"failed": 1, "started_again": 1, "moved": 0}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_with_drop_nothing_passes_and_it_is_counted(host: Host, how: int) -> None:
    host.deploy_apart()
    with watching(host):
        os.kill(emulator(host), how)
        until(lambda: not passes(host) and host.counter("x.vm_down") > 0, 5)
        until(lambda: passes(host), 60)
    assert history(host) == {"failed": 1, "started_again": 1, "moved": 0}


def test_who_stands_by_takes_the_place_of_one_that_hangs_and_is_replaced(host: Host) -> None:
    host.deploy_apart(", standby: 1")
    first, second = host.names()
    assert passes(host)
    with watching(host):
        process = emulator(host)
        os.kill(process, signal.SIGSTOP)
        until(lambda: passes(host) and host.counter("x.vm_moved") == 1, 60)
        until(lambda: emulator(host) not in (0, process), 60)
    assert history(host) == {"failed": 1, "started_again": 1, "moved": 1}
    assert {vm["name"]: vm["role"] for vm in status(host)["vms"]} == {first: "stands by", second: "serves"}


def test_a_machine_too_many_is_ended_when_its_flows_have(host: Host) -> None:
    host.deploy_apart(", instances: 2, linger: 1s")
    first, second = (lifecycle.parse(name) for name in host.names())
    assert first and second
    frames = [packets.build(f"udp 192.0.2.9:{port} > 198.51.100.7:80 payload 'x'") for port in range(32)]
    ended = threading.Event()

    def keep_busy() -> None:
        with host.socket("a1") as source:
            while not ended.wait(0.05):
                for frame in frames:
                    source.send(frame)

    talk = threading.Thread(target=keep_busy)
    talk.start()
    try:
        host.deploy_apart(", linger: 1s")
        assert [vm["role"] for vm in status(host)["vms"]] == ["serves", "leaves"]
        with watching(host):
            time.sleep(2.5)  # longer than it lingers, and than the watch looks for such machines
            assert lifecycle.ifindex(second)
            ended.set()
            until(lambda: not lifecycle.ifindex(second), 60)
    finally:
        ended.set()
        talk.join()
    told = status(host)
    assert [vm["role"] for vm in told["vms"]] == ["serves"] and told["counters"]["x.vm_moved"] == 0


def test_what_a_guest_dropped_stays_counted_when_it_is_killed(host: Host) -> None:
    host.deploy_apart(node=deployments.REASM)
    unknown = packets.build("tcp 192.0.2.9:4000 > 198.51.100.7:80 flags PA payload 'of no connection that it saw'")
    with host.socket("a1") as source:
        for _ in range(7):
            source.send(unknown)
        until(lambda: host.counter("x.unknown_connection") == 7, 5)
        os.kill(emulator(host), signal.SIGKILL)  # nobody watches
        until(lambda: not passes(host), 5)
        host.deploy_apart(node=deployments.REASM)
        source.send(unknown)
        until(lambda: host.counter("x.unknown_connection") == 8, 5)
