"""Doctor names what would go wrong on an interface, and the cure."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from ebpfnf.agent import netlink
from ebpfnf.fleet.local import LocalHost
from ebpfnf.kernel import insn, links, pins, programs
from ebpfnf.lab import namespaces
from ebpfnf.lab.offload import set_offload
from tests.faults.bench import ip

pytestmark = pytest.mark.kernel


@pytest.fixture
def netns() -> Iterator[str]:
    name = f"doc-{uuid.uuid4().hex[:8]}"
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "add", "p0", "type", "veth", "peer", "name", "p1")
        yield name
    finally:
        ip("netns", "del", name)


def found(netns: str, *interfaces: str) -> dict[str, str]:
    findings = LocalHost(netns).run("doctor", {"interfaces": list(interfaces)})
    return {
        f"{each['what']}: {each['said']}": each["cure"]
        for each in findings
        if each["level"] != "ok" and each["what"] in ("p0", "p1", "nope")
    }


def test_interfaces(netns: str) -> None:
    assert "ip link set p0 up" in found(netns, "p0").values()
    assert "ethtool -K p0 tx off" in found(netns, "p0").values()
    assert any("nope: this host has no such interface" in words for words in found(netns, "nope"))
    ip("-n", netns, "link", "set", "p0", "mtu", "9000")
    assert "ip link set p0 mtu 3498" in found(netns, "p0").values()
    for end in ("p0", "p1"):
        ip("-n", netns, "link", "set", end, "up")
    assert "ip link set p0 up" not in found(netns, "p0").values()


def test_a_foreign_program_is_named(netns: str) -> None:
    pin = f"{pins.mount()}/{netns}"
    child = os.fork()
    if child == 0:
        try:
            netlink.enter(netns)
            pins.pin(links.create_xdp(programs.load(insn.leave(insn.XDP_PASS), "theirs"), netlink.interfaces()["p0"].ifindex), pin)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    try:
        assert any("belongs to another XDP program ('theirs'" in words for words in found(netns))
    finally:
        os.unlink(pin)


def test_the_kernel_that_runs_the_tests_is_well() -> None:
    findings = LocalHost().run("doctor", {"interfaces": ["lo"]})
    assert not [each for each in findings if each["level"] == "error"]
    assert {"rights", "python3", "bpf_link", "bpffs", "kvm", "boot"} <= {each["what"] for each in findings}


def test_an_output_that_loses_frames_is_told_until_its_other_end_takes_them(netns: str) -> None:
    words = "p0: takes no frames that XDP redirects to it: they would be lost uncounted"
    ip("-n", netns, "link", "set", "p0", "up")
    ip("-n", netns, "link", "set", "p1", "up")
    assert words in found(netns, "p0")
    with namespaces.entered(netns):
        set_offload("p1", "gro", True)
    assert words not in found(netns, "p0")
