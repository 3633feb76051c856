"""Pins: what holds a deployment together, what its removal does, and that names stay inside their folder."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from ebpfnf.kernel import insn, maps, pins, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Pins
from ebpfnf.kernel.syscall import BpfError
from tests.kernel.handmade import u32
from tests.kernel.waiting import eventually


@pytest.mark.kernel
def test_pinned_outlives_its_fd(bpffs: str) -> None:
    at = Pins("edge")
    with Map(maps.create("array", 4, 4, 1)) as table:
        table.update(u32(0), b"kept")
        pins.pin(table.fd, at.state("edge-1-acl_5t-rules-v1"))
    with Map.open(at.state("edge-1-acl_5t-rules-v1")) as again:
        assert again.lookup(u32(0)) == b"kept"
    assert at.states() == ["edge-1-acl_5t-rules-v1"]
    assert pins.deployments() == ["edge"]


@pytest.mark.kernel
def test_folders_are_for_root_only(bpffs: str) -> None:
    at = Pins("edge")
    with Map(maps.create("array", 4, 4, 1)) as table:
        pins.pin(table.fd, at.temporary(1).table("x"))
    for folder in (pins.base(), at.directory, at.temporary(1).directory):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


@pytest.mark.kernel
def test_a_generation_gets_its_name_when_it_is_whole(bpffs: str) -> None:
    at = Pins("edge")
    with Map(maps.create("prog_array", 4, 4, 1)) as chain:
        pins.pin(chain.fd, at.temporary(12).chain)
    program = programs.load(insn.leave(insn.XDP_PASS), "entry")
    for segment in (0, 2, 10):
        pins.pin(program, at.temporary(12).program(segment))
    os.close(program)
    assert (at.generations(), at.temporaries()) == ([], [12])
    at.commit(12)
    assert (at.generations(), at.temporaries()) == ([12], [])
    assert at.generation(12).programs() == [0, 2, 10]
    pins.remove(at.generation(12).directory)
    pins.remove(at.generation(12).directory)
    assert (at.generations(), os.listdir(at.directory)) == ([], [])


@pytest.mark.kernel
def test_a_prog_array_is_emptied_when_its_pin_and_fds_are_gone(bpffs: str) -> None:
    """A program that is still referenced then misses its tail calls: so `chain` stays pinned as long as a program may run."""
    at = Pins("edge").generation(1)
    target = programs.load(insn.leave(insn.XDP_TX), "target")
    with Map(maps.create("prog_array", 4, 4, 1)) as chain:
        chain.update(u32(0), u32(target))
        pins.pin(chain.fd, at.chain)
        code = insn.load_map(2, chain.fd) + insn.alu("mov", 3, 0) + insn.call(insn.TAIL_CALL) + insn.leave(insn.XDP_DROP)
        entry = programs.load(code, "entry")
    try:
        assert programs.test_run(entry, bytes(60)).action == insn.XDP_TX
        pins.unpin(at.chain)
        assert eventually(lambda: programs.test_run(entry, bytes(60)).action == insn.XDP_DROP)
    finally:
        os.close(entry)
        os.close(target)


@pytest.mark.kernel
def test_a_second_pin_at_one_place_is_refused(bpffs: str) -> None:
    with Map(maps.create("array", 4, 4, 1)) as table:
        pins.pin(table.fd, Pins("edge").root)
        with pytest.raises(BpfError) as refused:
            pins.pin(table.fd, Pins("edge").root)
    assert refused.value.errno == errno.EEXIST


@pytest.mark.kernel
def test_what_is_not_there(bpffs: str) -> None:
    at = Pins("edge")
    assert pins.find(at.root) is None and not pins.exists(at.root)
    with pytest.raises(BpfError) as missing:
        pins.get(at.root)
    assert missing.value.errno == errno.ENOENT
    assert (pins.deployments(), at.ports(), at.states(), at.generations()) == ([], [], [], [])
    pins.unpin(at.root)
    pins.remove(at.directory)


@pytest.mark.kernel
def test_bpffs_refuses_dots(bpffs: str) -> None:
    with Map(maps.create("array", 4, 4, 1)) as table, pytest.raises(BpfError):
        pins.pin(table.fd, os.path.join(bpffs, "a.b"))


@pytest.mark.kernel
def test_a_mount_is_recognised(bpffs: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    assert pins.mounted()
    monkeypatch.setenv("EBPFNF_BPFFS", str(tmp_path))
    assert not pins.mounted()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a.b", "a b", "é", "a\n", "x" * 201])
def test_a_name_stays_in_its_folder(name: str) -> None:
    with pytest.raises(ValueError, match="are wanted"):
        Pins(name)
    for path in (Pins("edge").state, Pins("edge").link, Pins("edge").generation(1).table):
        with pytest.raises(ValueError, match="are wanted"):
            path(name)


@pytest.mark.parametrize("path", ["/etc", "/sys/fs/bpf", "/sys/fs/bpf/ebpfnf"])
def test_nothing_but_pins_is_removed(path: str) -> None:
    with pytest.raises(ValueError, match="is wanted"):
        pins.remove(path)
