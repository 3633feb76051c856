"""The check of instructions: what bcc could not resolve is found, and nothing else."""

from __future__ import annotations

import struct

import pytest

from ebpfnf.compile import bytecode

IDS = {0x7F000001: "flows", 0x9F000002: "meta"}
EXIT = struct.pack("<BBhI", 0x95, 0, 0, 0)


def wide(source: int, low: int, high: int = 0) -> bytes:
    return struct.pack("<BBhIBBhI", 0x18, source << 4 | 1, 0, low, 0, 0, 0, high)


def call(source: int, what: int) -> bytes:
    return struct.pack("<BBhI", 0x85, source << 4, 0, what)


def test_references_to_maps_are_found_by_their_instruction() -> None:
    code = wide(1, 0x7F000001) + EXIT + wide(2, 0x9F000002, 8) + EXIT
    assert bytecode.inspect(code, IDS) == (((0, "flows"), (3, "meta")), ())


def test_a_symbolic_id_that_stands_as_a_constant_becomes_a_maps_value() -> None:
    code = wide(0, 0x7F000001) + wide(0, 0x7F000001, 1) + wide(1, 0x7F000001) + EXIT
    assert bytecode.addressed(code, IDS) == wide(2, 0x7F000001) + code[16:]


@pytest.mark.parametrize("code", [wide(0, 0x80000000), wide(0, 1, 1), wide(0, 0xFFFFFFFF), call(0, 1)])
def test_constants_and_helpers_are_no_faults(code: bytes) -> None:
    assert bytecode.inspect(code + EXIT, IDS) == ((), ())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (wide(0, 0), "address of a global"),
        (wide(0, 0x7FFFFFFF), "address of a global"),
        (wide(1, 5), "map 0x5"),
        (wide(3, 0x7F000001), "map 0x7f000001"),
        (call(1, 0xFFFFFFFF), "not inlined"),
        (struct.pack("<BBhI", 0x8D, 0, 0, 1), "not inlined"),
    ],
)
def test_what_is_not_resolved_is_a_fault(code: bytes, words: str) -> None:
    relocations, (fault,) = bytecode.inspect(EXIT + code + EXIT, IDS)
    assert relocations == ()
    assert fault.index == 1
    assert words in fault.what


def test_a_function_is_named_by_an_id_that_is_known() -> None:
    code = wide(4, 0x7E000000) + wide(1, 0x7F000001) + EXIT
    assert bytecode.inspect(code, IDS, {0x7E000000}) == (((2, "flows"),), ())
    assert bytecode.functions(code) == ((0, 0x7E000000),)
    assert bytecode.inspect(code, IDS)[1][0].index == 0


def test_the_second_half_of_a_wide_instruction_is_not_read_as_one() -> None:
    code = struct.pack("<BBhIBBhI", 0x18, 0, 0, 0, 0x85, 1 << 4, 0, 1)
    assert bytecode.inspect(code + EXIT, IDS) == ((), ())
