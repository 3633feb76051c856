"""VMs under the manager: packets through real ones, which come, stay, go and are found again."""

from __future__ import annotations

import base64
import os
import time

import pytest

from ebpfnf import packets
from ebpfnf.agent import apply, commands, doctor, reader
from ebpfnf.bundle import encode
from ebpfnf.kernel.pins import Pins
from ebpfnf.lab import Lab
from ebpfnf.vm import domain, lifecycle
from tests.vm import deployments
from tests.vm.conftest import Host, emulator

pytestmark = pytest.mark.vm

FRAME = packets.build("tcp 192.0.2.9:4000 > 198.51.100.7:80 flags PA payload 'hello, this is a payload' ttl 9")


def through(host: Host, frame: bytes = FRAME, into: str = "a1", out: str = "b1") -> bytes:
    """What comes out of a frame."""
    with host.socket(into) as source, host.socket(out) as sink:
        source.send(frame)
        while True:
            got = sink.recv(4096)
            if got[12:14] == b"\x08\x00":
                return got


def test_a_packet_goes_through_a_vm(host: Host) -> None:
    done = host.deploy()
    assert done.changed and [each.state for each in host.machines()] == ["running"]
    got = through(host)
    assert got[:14] == FRAME[:14] and got[22] == 8 and got[26:] == FRAME[26:]
    assert through(host, into="b1", out="a1")[22] == 8
    assert (host.counter("x.to_vm"), host.counter("x.from_vm")) == (2, 2)
    assert host.status()["warnings"] == []
    (machine,) = lifecycle.seen(host.name)
    (finding,) = (each for each in doctor.examine(["a0"]) if each.what == "kvm")  # by trying the image, not by looking for /dev/kvm
    assert finding.said == machine.about and (finding.level == "ok") is (machine.accelerator == "kvm")


def test_a_generation_with_the_same_image_and_configuration_takes_the_vm_over(host: Host) -> None:
    host.deploy()
    before = host.machines()
    done = host.deploy(", on_failure: bypass")
    assert done.generation == 2 and host.machines() == before
    through(host)


def test_another_configuration_is_another_vm_and_a_rollback_starts_the_first_again(host: Host) -> None:
    host.deploy()
    (first,) = host.machines()
    host.deploy(", smallest: 200")
    (second,) = host.machines()
    assert first.name != second.name
    through(host)
    apply.rollback(host.name)
    (third,) = host.machines()
    assert third.name == first.name
    through(host)


def test_what_a_guest_drops_is_the_stages_own_and_stays_told(host: Host) -> None:
    host.deploy(node=deployments.REASM)
    with host.socket("a1") as source:
        for _ in range(5):
            source.send(FRAME)  # of a connection that it did not see begin

    def dropped() -> tuple[int, int, int]:
        told = host.status()
        (stage,) = [each for each in told["stages"] if each["id"] == "x.pack"]
        return told["drops"]["x.unknown_connection"], stage["drops"]["x.unknown_connection"], told["vms"][0]["counters"]["vm.dropped"]

    deadline = time.monotonic() + 5
    while dropped() != (5, 5, 5) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert dropped() == (5, 5, 5)
    assert "not seen to begin" in host.status()["texts"]["x.unknown_connection"]
    host.deploy(", idle: 61s", node=deployments.REASM)  # another machine
    assert dropped() == (5, 5, 0)


def test_plan_and_status_say_what_runs_guests(host: Host) -> None:
    said = []
    payload = {"bundle": base64.b64encode(encode(host.bundle())).decode()}
    actions = commands.run("plan", payload, lambda step, details: said.append((step, details["detail"])))
    assert "boot" in [action["verb"] for action in actions] and not host.machines()
    host.deploy()
    (machine,) = host.status()["vms"]
    assert ({"kvm": "note", "tcg": "warning"}[machine["accelerator"]], machine["about"]) in said


def test_undeploy_leaves_nothing(host: Host) -> None:
    host.deploy()
    apply.undeploy(host.name)
    assert host.machines() == () and not list(domain.home().iterdir())


def test_a_lab_that_goes_down_takes_its_vms_along(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as reader, Lab(f"vms{os.getpid()}") as lab:
        reader.delenv("EBPFNF_LIBVIRT")  # libvirt's root is the namespace's, as for anybody
        with lab.enter("dut"):
            home = domain.home()
            host.agent("apply", encode(deployments.bundle(name=host.name)))
        assert emulator(host) and home.exists()
        lab.down()
        end = time.monotonic() + 5
        while emulator(host) and time.monotonic() < end:
            time.sleep(0.02)
        assert not emulator(host) and not home.exists()


def test_a_vm_that_is_gone_is_told_and_reconcile_starts_it(host: Host) -> None:
    host.deploy()
    (first,) = host.machines()
    with domain.opened() as hypervisor:
        hypervisor.destroy(str(first.name))
    assert any("virtual machine" in str(each) for each in host.status()["warnings"])  # type: ignore[attr-defined]
    apply.reconcile(host.name)
    assert host.status()["warnings"] == []
    through(host)


def test_what_stands_beside_the_path_behind_a_vm_gets_its_copies(host: Host) -> None:
    """The generation's last program reads copies, the one before it takes frames back from VMs."""
    apply.apply(deployments.bundle(name=host.name, ports=("a0", "b0"), watched=True))
    through(host)
    at = Pins(host.name)
    assert reader.waiting(at.generation(1)) == 1
    reader.drain(at, 1)
    assert reader.waiting(at.generation(1)) == 0 and host.counter("watcher.lost") == 0
