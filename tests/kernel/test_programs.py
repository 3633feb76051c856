"""Programs: loaded or refused with a reason, run on frames, sent as traffic; and the root program of a port."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

import pytest

from ebpfnf.kernel import insn, maps, probe, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.programs import Runner
from ebpfnf.kernel.syscall import BpfError, cpu_slots, possible_cpus
from tests.kernel.handmade import u32

pytestmark = pytest.mark.kernel

FRAME = bytes(range(64))


@pytest.fixture
def fds() -> Iterator[list[int]]:
    kept: list[int] = []
    yield kept
    for fd in kept:
        os.close(fd)


def loaded(fds: list[int], *code: bytes, **more: int) -> int:
    fds.append(programs.load(b"".join(code), "test-program", **more))
    return fds[-1]


def test_a_program_says_its_action_and_leaves_the_frame(fds: list[int]) -> None:
    run = programs.test_run(loaded(fds, insn.leave(insn.XDP_TX)), FRAME, repeat=10)
    assert (run.action, run.data) == (insn.XDP_TX, FRAME)


def test_info(fds: list[int]) -> None:
    with Map(maps.create("array", 4, 8, 1)) as value:
        fd = loaded(fds, insn.load_value(1, value.fd), insn.leave(insn.XDP_PASS))
        found = programs.info(fd)
        assert (found.name, found.type, found.map_ids) == ("test_program", programs.XDP_TYPE, (value.id,))
        assert len(found.tag) == 16 and found.jited and found.verified_insns
        again = programs.open_id(found.id)
        fds.append(again)
        assert programs.info(again) == found


def test_a_refusal_carries_the_verifiers_log() -> None:
    with pytest.raises(programs.LoadRefused) as refused:
        programs.load(insn.load(8, 0, 1, 4000) + insn.leave(), "bad")
    assert refused.value.errno == errno.EACCES
    assert "invalid bpf_context access" in refused.value.log


def test_a_refusal_with_a_log_of_more_than_a_megabyte_ends_with_the_reason() -> None:
    branches = b"".join(insn.load(4, 0, 1, 12) + insn.jump("jeq", 0, i, 0) + insn.alu("add", 2, 1) for i in range(5000))
    with pytest.raises(programs.LoadRefused) as refused:
        programs.load(insn.alu("mov", 2, 0) + branches + insn.load(8, 0, 1, 4000) + insn.leave(), "bad")
    assert "invalid bpf_context access" in refused.value.log[-500:]


@pytest.mark.parametrize(("size", "runs"), [(0, False), (13, False), (14, True), (60, True), (1514, True), (9000, True)])
def test_the_kernel_runs_frames_from_an_ethernet_header_on(fds: list[int], size: int, runs: bool) -> None:
    runner = Runner(loaded(fds, insn.leave(insn.XDP_PASS)), 60)
    if runs:
        assert runner.run(b"\5" * size) == insn.XDP_PASS
        assert runner.data == b"\5" * size
    else:
        with pytest.raises(BpfError) as refused:
            runner.run(b"\5" * size)
        assert refused.value.errno == errno.EINVAL


def test_a_runner_keeps_nothing_of_the_frame_before(fds: list[int]) -> None:
    runner = Runner(loaded(fds, insn.leave(insn.XDP_PASS)))
    for frame in (b"a" * 200, b"b" * 14, b"c" * 60):
        runner.run(frame)
        assert runner.data == frame


def test_a_frame_may_become_longer(fds: list[int]) -> None:
    grow = (insn.alu("mov", 2, -64), insn.call(44), insn.leave(insn.XDP_PASS))  # bpf_xdp_adjust_head
    assert len(programs.test_run(loaded(fds, *grow), FRAME).data) == len(FRAME) + 64


def test_an_interface_that_is_not_there_is_refused(fds: list[int]) -> None:
    fd = loaded(fds, insn.load(4, 0, 1, 12), insn.leave())  # ctx->ingress_ifindex
    assert programs.test_run(fd, FRAME, ifindex=1).action == 1
    with pytest.raises(BpfError) as refused:
        programs.test_run(fd, FRAME, ifindex=0x7FFFFFF0)
    assert refused.value.errno in (errno.ENODEV, errno.EINVAL)
    assert programs.test_run(fd, FRAME).action == 1  # without a word: loopback


def test_a_prog_array_wants_the_same_attach_type(fds: list[int]) -> None:
    """Without a word from the verifier: so everything of ours is loaded with one."""
    with Map(maps.create("prog_array", 4, 4, 2)) as chain:
        chain.update(u32(0), u32(loaded(fds, insn.leave(insn.XDP_PASS))))
        with pytest.raises(BpfError) as refused:
            chain.update(u32(1), u32(loaded(fds, insn.leave(insn.XDP_PASS), attach_type=0)))
        assert refused.value.errno == errno.EINVAL


def test_frozen_contents_are_constants_to_the_verifier(fds: list[int]) -> None:
    """A branch that a constant rules out is not verified: it may hold what would be refused."""
    with Map(maps.create("array", 4, 8, 1, maps.RDONLY_PROG)) as const:
        const.update(u32(0), struct.pack("=Q", 5))
        code = (
            insn.load_value(2, const.fd)
            + insn.load(8, 0, 2)
            + insn.jump("jeq", 0, 5, 1)
            + insn.load(8, 0, 1, 4000)
            + insn.leave(insn.XDP_PASS)
        )
        with pytest.raises(programs.LoadRefused):
            programs.load(code, "unfrozen")
        maps.freeze(const.fd)
        loaded(fds, code)


@pytest.mark.parametrize(("on_fault", "action"), [("drop", insn.XDP_DROP), ("pass", insn.XDP_PASS)])
def test_the_root_program_says_the_port_and_calls_or_counts(fds: list[int], on_fault: str, action: int) -> None:
    cpus = os.sched_getaffinity(0)
    cpu = max(cpus)
    os.sched_setaffinity(0, {cpu})
    try:
        with Map(maps.create("array", 4, 64 * cpu_slots(), 1)) as ingress, Map(maps.create("prog_array", 4, 4, 1)) as root:
            fd = loaded(fds, insn.root_program(3, ingress.fd, root.fd, cpu_slots() - 1, on_fault))
            for _ in range(2):
                assert programs.test_run(fd, FRAME).action == action
            slot = (ingress.lookup(u32(0)) or b"")[64 * cpu :]
            assert struct.unpack_from("=IxxxxQ", slot) == (3, 2)
            root.update(u32(0), u32(loaded(fds, insn.leave(insn.XDP_TX))))
            assert programs.test_run(fd, FRAME).action == insn.XDP_TX
            assert struct.unpack_from("=IxxxxQ", (ingress.lookup(u32(0)) or b"")[64 * cpu :]) == (3, 2)
    finally:
        os.sched_setaffinity(0, cpus)


def test_the_tick_is_what_jiffies_advance_by(fds: list[int]) -> None:
    import time

    with Map(maps.create("array", 4, 8, 1, maps.MMAPABLE)) as value:
        fd = loaded(fds, insn.call(insn.JIFFIES64), insn.load_value(1, value.fd), insn.store(8, 1, 0, 0), insn.leave(insn.XDP_PASS))
        readings = []
        for _ in range(2):
            programs.test_run(fd, FRAME)
            readings.append((struct.unpack("=Q", value.lookup(u32(0)) or b"")[0], time.clock_gettime_ns(6)))
            time.sleep(0.1)
    (one, then), (two, now) = readings
    tick = probe.tick_ns()
    assert abs((two - one) * tick - (now - then)) <= 2 * tick


def test_every_feature_that_the_agent_uses_is_found_here() -> None:
    assert [feature for feature in probe.features() if not feature.works] == []


def test_both_ways_of_waiting_return() -> None:
    probe.grace()
    probe.grace_by_map()


def test_slots_bound_every_cpu() -> None:
    assert possible_cpus() <= cpu_slots() < 2 * possible_cpus()
