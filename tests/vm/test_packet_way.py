"""The way of a packet through a VM, on private copies: a function of ours stands in for the guest."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest

from ebpfnf import packets
from ebpfnf.agent.private import PrivateCopy
from tests.kernel.netns import namespace
from tests.vm import deployments

pytestmark = pytest.mark.kernel

FRAME = packets.build("tcp 192.0.2.9:4000 > 198.51.100.7:80 flags PA payload 'hello, this is a payload' ttl 9")
XDP_DROP, XDP_REDIRECT = 1, 4


@pytest.mark.parametrize("granularity", ["chain", "vnf", "mnf"])
def test_a_packet_goes_on_behind_the_vm_with_its_record_and_its_addresses(granularity: str) -> None:
    seen: list[bytes] = []

    def guest(data: bytes) -> bytes:
        seen.append(data)
        return data

    with PrivateCopy(deployments.bundle(granularity=granularity), guest=guest) as copy:
        out = copy.run(FRAME, "a", 1)
        counts = copy.counts()
    assert (out.action, out.port) == (XDP_REDIRECT, "b")
    assert out.data[:14] == FRAME[:14] and out.data[22] == 8  # ttl_dec, behind the VM, has had it
    assert seen[0][12:] == FRAME[12:] and seen[0][:12] != FRAME[:12]
    assert (counts["x.to_vm"], counts["x.from_vm"], counts["chain.there.out"]) == (1, 1, 1)


def test_both_directions_come_back_to_their_own_chain() -> None:
    with PrivateCopy(deployments.bundle()) as copy:
        assert copy.run(FRAME, "a", 1).port == "b"
        assert copy.run(FRAME, "b", 1).port == "a"


def test_a_shorter_packet_is_measured_again() -> None:
    def shorten(data: bytes) -> bytes:
        cut = bytearray(data[:-8])
        struct.pack_into("!H", cut, 16, struct.unpack_from("!H", data, 16)[0] - 8)
        return bytes(cut)

    with PrivateCopy(deployments.bundle(), guest=shorten) as copy:
        out = copy.run(FRAME, "a", 1)
    assert out.action == XDP_REDIRECT and len(out.data) == len(FRAME) - 8


def test_several_packets_may_be_made_of_one() -> None:
    kept: list[bytes] = []
    with PrivateCopy(deployments.bundle(), guest=lambda data: kept.append(data) or data) as copy:
        copy.run(FRAME, "a", 1)
        assert copy.resume(kept[0]).action == XDP_REDIRECT
        assert copy.counts()["x.from_vm"] == 2


def _spoil(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("at", range(12))
def test_a_forged_cookie_is_dropped_and_counted(at: int) -> None:
    with PrivateCopy(deployments.bundle(), guest=_spoil(at)) as copy:
        out = copy.run(FRAME, "a", 1)
    assert (out.action, out.counter.name) == (XDP_DROP, "vm.unknown")


@pytest.mark.parametrize("data", [bytes(14), b"\xff" * 60, FRAME, bytes(12) + b"\x88\xb5" + bytes(46)])
def test_garbage_is_dropped_and_counted(data: bytes) -> None:
    with PrivateCopy(deployments.bundle()) as copy:
        out = copy.resume(data)
        assert (out.action, out.counter.name) == (XDP_DROP, "vm.unknown")


def test_broken_headers_behind_a_true_cookie_are_dropped_and_counted() -> None:
    with PrivateCopy(deployments.bundle(), guest=lambda data: data[:14] + b"\x4f" + data[15:30]) as copy:
        out = copy.run(FRAME, "a", 1)
    assert (out.action, out.counter.name) == (XDP_DROP, "x.vm_malformed")


def test_a_record_that_was_overwritten_is_no_record() -> None:
    kept: list[bytes] = []
    with PrivateCopy(deployments.bundle(), guest=lambda data: kept.append(data) or data) as copy:
        for _ in range(4097):
            copy.run(FRAME, "a", 1)
        assert copy.resume(kept[0]).counter.name == "vm.unknown"
        assert copy.resume(kept[1]).action == XDP_REDIRECT


def test_no_more_packets_go_to_a_vm_than_may_wait_there_and_what_comes_back_makes_room() -> None:
    kept: list[bytes] = []
    with PrivateCopy(deployments.bundle(), guest=lambda data: kept.append(data) or bytes(60)) as copy:
        for _ in range(4000):
            copy.run(FRAME, "a", 1)
        assert len(kept) == 3840 and copy.counts()["x.vm_tap_full"] == 160
        assert copy.resume(kept[0]).action == copy.resume(kept[9]).action == XDP_REDIRECT  # nine were lost
        for _ in range(20):
            copy.run(FRAME, "a", 1)
        assert len(kept) == 3850 and all(copy.resume(each).action == XDP_REDIRECT for each in kept)


def test_a_vm_that_gives_nothing_back_is_tried_again_now_and_then() -> None:
    tried = 0

    def guest(data: bytes) -> bytes:
        nonlocal tried
        tried += 1
        return data if tried > 3842 else bytes(60)

    with PrivateCopy(deployments.bundle(), guest=guest) as copy:
        for _ in range(3850):
            copy.run(FRAME, "a", 1)
        assert tried == 3840
        for second in (2, 2, 4, 4):
            assert copy.run(FRAME, "a", second << 30).action == XDP_DROP
        assert tried == 3842
        assert copy.run(FRAME, "a", 6 << 30).action == copy.run(FRAME, "a", 6 << 30).action == XDP_REDIRECT  # it answers: all may go again


def test_a_place_given_to_another_vm_begins_empty() -> None:
    with namespace(), PrivateCopy(deployments.bundle(), guest=lambda data: bytes(60)) as copy:
        for _ in range(3850):
            copy.run(FRAME, "a", 1)
        for stays in ((), (socket.if_nametoindex("near"),), (), (1,)):
            copy.vms_serve(0, stays)
        before = copy.counts()["x.vm_tap_full"]
        copy.run(FRAME, "a", 1)
        assert copy.counts()["x.vm_tap_full"] == before == 10


@pytest.mark.parametrize(
    ("number", "counter"),
    [(2, "x.unknown_connection"), (10, "x.ambiguous"), (0, "chain.there.bad_verdict"), (200, "chain.there.bad_verdict")],
)
def test_a_receipt_is_a_drop_for_the_reason_that_it_names(number: int, counter: str) -> None:
    bundle = deployments.bundle(node=deployments.REASM)
    with PrivateCopy(bundle, guest=lambda data: data[:12] + number.to_bytes(2)) as copy:
        out = copy.run(FRAME, "a", 1)
        assert (out.action, out.counter.name) == (XDP_DROP, counter)
        assert copy.counts()["x.from_vm"] == 0


def test_a_frame_too_large_for_a_guest_is_dropped() -> None:
    large = packets.build("udp 192.0.2.9:1 > 198.51.100.7:2 size 1700")
    with PrivateCopy(deployments.bundle()) as copy:
        assert copy.run(large, "a", 1).counter.name == "x.vm_too_big"


@pytest.mark.parametrize(("policy", "action", "counter"), [("drop", XDP_DROP, "x.vm_down"), ("bypass", XDP_REDIRECT, "chain.there.out")])
def test_without_a_vm_the_declared_policy_holds(policy: str, action: int, counter: str) -> None:
    with PrivateCopy(deployments.bundle(f", on_failure: {policy}")) as copy:
        copy.vms_serve(0, ())
        out = copy.run(FRAME, "a", 1)
        assert (out.action, out.counter.name) == (action, counter)
        assert copy.counts()["x.vm_down"] == 1
        copy.vms_serve(0, (1,))
        assert copy.run(FRAME, "a", 1).action == XDP_REDIRECT


def test_another_vm_can_not_hand_a_packet_back() -> None:
    kept: list[bytes] = []
    with namespace(), PrivateCopy(deployments.bundle(), guest=lambda data: kept.append(data) or data) as copy:
        copy.vms_serve(0, (socket.if_nametoindex("near"),))
        assert copy.run(FRAME, "a", 1).counter.name == "vm.unknown"  # it comes back by loopback
        copy.vms_serve(0, (1,))
        assert copy.run(FRAME, "a", 1).action == XDP_REDIRECT
