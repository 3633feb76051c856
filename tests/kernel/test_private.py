"""Private copies: each frame's outcome as the deployment decided it, on a clock and maps of the copy's own."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from ebpfnf.agent import tables
from ebpfnf.agent.private import PrivateCopy, TooShort
from ebpfnf.errors import AgentError, TableError, VerifierError
from ebpfnf.kernel import insn
from ebpfnf.model import MapSpec, Table
from tests.kernel.handmade import COUNTERS, MAPS, bundle, copying, leaving, program
from tests.kernel.netns import namespace

pytestmark = pytest.mark.kernel

FRAME = bytes(range(60))


def test_an_outcome_says_all() -> None:
    with PrivateCopy(copying()) as copy:
        done = copy.run(FRAME, "lan", 123456789)
        assert (done.action, done.data, done.counter, done.port, done.position) == (insn.XDP_REDIRECT, FRAME, COUNTERS[1], "lan", 4)
        assert struct.unpack_from("=QQ", done.metadata) == (2, 123456789)
        assert struct.unpack_from("=QQ", copy.run(FRAME, "wan", 5).metadata) == (1, 5)
        assert copy.counts() == {"wan.first": 0, "wan.second": 2}


def test_two_copies_share_nothing() -> None:
    with PrivateCopy(copying()) as one, PrivateCopy(copying()) as two:
        one.run(FRAME, "wan", 0)
        assert (one.counts()["wan.second"], two.counts()["wan.second"]) == (1, 0)


def test_the_thread_stays_on_one_cpu_inside_and_is_free_afterwards() -> None:
    before = os.sched_getaffinity(0)
    with PrivateCopy(copying()):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_a_copy_that_cannot_be_loaded_leaves_the_thread_free() -> None:
    before, fds = os.sched_getaffinity(0), len(os.listdir("/proc/self/fd"))
    with pytest.raises(VerifierError), PrivateCopy(bundle(program("entry", insn.load(8, 0, 1, 4000), insn.leave()))):
        pass
    assert os.sched_getaffinity(0) == before
    assert len(os.listdir("/proc/self/fd")) == fds


@pytest.mark.parametrize("size", [0, 1, 13])
def test_frames_that_the_kernel_will_not_run_are_no_drops(size: int) -> None:
    with PrivateCopy(copying()) as copy:
        with pytest.raises(TooShort, match=f"{size} bytes"):
            copy.run(bytes(size), "wan", 0)
        assert copy.run(bytes(14), "wan", 0).action == insn.XDP_REDIRECT


def test_a_frame_that_ends_without_a_record_is_a_fault() -> None:
    with PrivateCopy(bundle(program("entry", insn.leave(2)))) as copy, pytest.raises(AgentError, match="without an exit record"):
        copy.run(FRAME, "wan", 0)


def test_an_unknown_port_is_named() -> None:
    with PrivateCopy(copying()) as copy, pytest.raises(AgentError, match=r"no port 'dmz' \(ports: wan, lan\)"):
        copy.run(FRAME, "dmz", 0)


def test_timing_counts_every_run() -> None:
    with PrivateCopy(copying()) as copy:
        assert copy.time(FRAME, "wan", 0, 100) > 0
        assert copy.counts()["wan.second"] == 100


def test_the_operators_tables_are_filled() -> None:
    table = Table("edge.acl.ports", "ports_table", "exact", "u16", "u32", 8, "operator", "host", "", False, entries=(("80", 1), ("443", 2)))
    made = bundle(program("entry", *leaving(2, 0)), maps=(*MAPS, MapSpec("ports_table", "hash", 2, 4, 8)), tables=(table,))
    with PrivateCopy(made) as copy:
        assert dict(tables.dump(*copy.table("edge.acl.ports"))) == {"80": 1, "443": 2}
        with pytest.raises(TableError, match="no table 'x'"):
            copy.table("x")


@pytest.mark.lab
def test_ports_are_the_interfaces_of_the_namespace() -> None:
    """The program sees the interface as ingress, the constants its number and MTU: so routes lead where they would."""
    entry = program("entry", insn.alu_reg("mov", 6, 1), *leaving(2, 0)[:-1], insn.load(4, 1, 6, 12), insn.store(8, 7, 40, 1), insn.leave(2))
    with namespace():
        near = socket.if_nametoindex("near")
        with PrivateCopy(bundle(entry), {"wan": near}) as copy:
            assert struct.unpack_from("=Q", copy.run(FRAME, "wan", 0).metadata)[0] == near
            assert struct.unpack_from("=Q", copy.run(FRAME, "lan", 0).metadata)[0] == 1
        with pytest.raises(AgentError, match="interface 99"), PrivateCopy(bundle(entry), {"wan": 99}):
            pass
