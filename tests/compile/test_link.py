"""Functions that bpf_loop is given stand behind the program that names them, and all that points to instructions moves along."""

from __future__ import annotations

import struct

from ebpfnf.compile.btf import Info
from ebpfnf.compile.link import Code, link
from tests.compile.test_bytecode import EXIT, wide

MOVE = struct.pack("<BBhI", 0xB7, 0, 0, 1)


def record(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)


def test_what_is_named_twice_is_there_once() -> None:
    program = Code(wide(4, 7) + wide(4, 7) + wide(1, 5) + EXIT, ((4, "a"),), Info(record(0, 1), 8), Info(record(0, 0, 0, 9), 16))
    loop = Code(MOVE + wide(1, 5) + EXIT, ((1, "b"),), Info(record(0, 2), 8), Info(record(0, 0, 0, 3) + record(3, 0, 0, 4), 16))
    linked = link(program, {7: loop, 8: loop})
    assert linked.insns[len(program.insns) :] == struct.pack("<BBhi", 0xBF, 0x21, 0, 0) + loop.insns
    # the kernel adds 1: the instruction behind
    assert [struct.unpack_from("<i", linked.insns, 8 * at + 4)[0] + at + 1 for at in (0, 2)] == [7, 7]
    assert linked.relocations == ((4, "a"), (9, "b"))
    assert linked.functions == Info(record(0, 1) + record(7, 2), 8)
    assert linked.lines == Info(record(0, 0, 0, 9) + record(7, 0, 0, 3) + record(11, 0, 0, 4), 16)


def test_a_program_that_names_none_stays_as_it_is() -> None:
    program = Code(wide(1, 5) + EXIT, ((0, "a"),))
    assert link(program, {7: program}) == program
