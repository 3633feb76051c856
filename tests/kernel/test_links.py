"""Links: attached, named to others, gone when nothing holds them."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest

from ebpfnf.kernel import insn, links, maps, pins, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Pins
from ebpfnf.kernel.syscall import BpfError
from tests.kernel.handmade import u32
from tests.kernel.netns import namespace
from tests.kernel.waiting import eventually

pytestmark = [pytest.mark.kernel, pytest.mark.lab]


@pytest.fixture
def interface() -> Iterator[int]:
    with namespace():
        yield socket.if_nametoindex("near")


@pytest.fixture
def passing() -> Iterator[int]:
    fd = programs.load(insn.leave(insn.XDP_PASS), "passing")
    yield fd
    os.close(fd)


@pytest.mark.parametrize(("mode", "seen"), [("native", "native"), ("generic", "generic"), ("auto", "native")])
def test_attached_until_detached(interface: int, passing: int, mode: str, seen: str) -> None:
    assert links.owner(interface) is None
    fd = links.create_xdp(passing, interface, mode)
    try:
        program = programs.info(passing)
        found = links.info(fd)
        assert (found.prog_id, found.ifindex) == (program.id, interface)
        assert links.owner(interface) == links.Owner(program.id, "passing", seen)
        links.detach(fd)
        assert links.owner(interface) is None
        assert links.info(fd).ifindex == 0
    finally:
        os.close(fd)


def test_auto_is_generic_where_the_driver_has_no_xdp(interface: int, passing: int) -> None:
    number = socket.if_nametoindex("lo")
    with pytest.raises(BpfError) as refused:
        links.create_xdp(passing, number, "native")
    assert refused.value.errno == errno.EOPNOTSUPP
    fd = links.create_xdp(passing, number, "auto")
    owner = links.owner(number)
    os.close(fd)
    assert owner is not None and owner.mode == "generic"


def test_a_second_owner_is_refused_and_the_first_can_be_named(interface: int, passing: int) -> None:
    first = links.create_xdp(passing, interface)
    try:
        with pytest.raises(BpfError) as refused:
            links.create_xdp(passing, interface)
        assert refused.value.errno == errno.EBUSY
    finally:
        os.close(first)


def test_ip_link_cannot_displace_a_link(interface: int, passing: int) -> None:
    fd = links.create_xdp(passing, interface)
    subprocess.run(["ip", "link", "set", "dev", "near", "xdp", "off"], capture_output=True)
    owner = links.owner(interface)
    os.close(fd)
    assert owner is not None


def test_update_puts_another_program_in(interface: int, passing: int) -> None:
    other = programs.load(insn.leave(insn.XDP_DROP), "other")
    fd = links.create_xdp(passing, interface)
    try:
        links.update(fd, other, passing)
        assert links.info(fd).prog_id == programs.info(other).id
        with pytest.raises(BpfError):
            links.update(fd, passing, passing)  # that is no longer the one inside
    finally:
        os.close(fd)
        os.close(other)


def test_an_interface_that_is_not_there(passing: int) -> None:
    with pytest.raises(BpfError) as refused:
        links.create_xdp(passing, 0x7FFFFFF0)
    assert refused.value.errno in (errno.EINVAL, errno.ENODEV)
    with pytest.raises(BpfError, match="no such device"):
        links.owner(0x7FFFFFF0)


def test_removing_the_links_pin_detaches(interface: int, passing: int, bpffs: str) -> None:
    """Silently, and packets then bypass the chain: so a missing pin is looked for."""
    at = Pins("links")
    fd = links.create_xdp(passing, interface)
    pins.pin(fd, at.link("wan"))
    os.close(fd)
    assert links.owner(interface) is not None
    pins.unpin(at.link("wan"))
    assert eventually(lambda: links.owner(interface) is None)


def test_a_link_outlives_its_interface_as_an_empty_object(interface: int, passing: int) -> None:
    fd = links.create_xdp(passing, interface)
    subprocess.run(["ip", "link", "del", "near"], check=True)
    found = links.info(fd)
    os.close(fd)
    assert found.ifindex == 0


def test_sent_frames_arrive(interface: int, passing: int) -> None:
    """The traffic generator: what leaves by one end of a pair is counted at the other."""
    with Map(maps.create("array", 4, 8, 1)) as total:
        counting = programs.load(
            insn.load_value(1, total.fd) + insn.alu("mov", 2, 1) + insn.raw(0xDB, 1, 2) + insn.leave(insn.XDP_DROP), "counting"
        )
        reflecting = programs.load(insn.leave(insn.XDP_TX), "reflecting")
        here, there = links.create_xdp(passing, interface), links.create_xdp(counting, socket.if_nametoindex("far"))
        try:
            programs.send(reflecting, bytes(60), count=1000, ifindex=interface)
            assert eventually(lambda: total.lookup(u32(0)) == struct.pack("=Q", 1000))
        finally:
            for fd in (here, there, counting, reflecting):
                os.close(fd)
