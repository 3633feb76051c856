"""BTF as LLVM leaves it: mended so that the kernel takes it, refused when it is damaged."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

import pytest

from ebpfnf.compile import btf, compile_source
from ebpfnf.kernel import maps, programs
from ebpfnf.model import Source

BODY = "u32 key = pkt->now & 7;\n\tu64 *seen = flows_lookup(&key);\n\n\tif (!seen)\n\t\treturn 1;\n\t*seen += 1;\n\treturn 2;"


def section(types: bytes, strings: bytes) -> bytes:
    return btf.MAGIC + struct.pack("<5I", 24, 0, len(types), len(types), len(strings)) + types + strings


INT = struct.pack("<IIII", 1, 1 << 24, 4, 32)
VAR = struct.pack("<IIII", 5, 14 << 24, 1, 1)
DATASEC = struct.pack("<III", 7, 15 << 24 | 2, 0) + struct.pack("<IIIIII", 2, 0, 4, 2, 0, 4)
STRINGS = b"\0int\0v\0license\0"


def test_a_section_gets_its_size_and_its_variables_their_places() -> None:
    mended = btf.Btf(section(INT + VAR + DATASEC, STRINGS)).encode()
    size, first, second = struct.unpack_from("<8xI4xI8xI", mended, 24 + len(INT + VAR))
    assert (size, first, second) == (8, 0, 4)
    assert btf.Btf(mended).encode() == mended


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x9f\xeb\x01\x00",
        section(INT, b"int\0"),
        section(INT, b"\0int"),
        section(INT[:-1], STRINGS),
        section(struct.pack("<III", 99, 1 << 24, 4), STRINGS),
        section(struct.pack("<III", 1, 31 << 24, 4), STRINGS),
        section(INT, STRINGS)[:-3],
    ],
)
def test_damage_is_an_error_and_not_a_crash(data: bytes) -> None:
    with pytest.raises(ValueError):
        btf.Btf(data)


@pytest.mark.kernel
def test_the_kernel_takes_it_and_names_the_authors_line(make: Callable[..., Source]) -> None:
    program = compile_source(make(BODY.replace("*seen +=", "seen[1] +=")))[0]
    types = programs.btf_load(program.btf)
    table = maps.create("array", 4, 8, 8, name="flows")
    try:
        insns = bytearray(program.insns)
        for index, _ in program.relocations:
            struct.pack_into("<i", insns, 8 * index + 4, table)
        with pytest.raises(programs.LoadRefused) as refused:
            programs.load(
                bytes(insns),
                program.name,
                btf_fd=types,
                func_info=program.func_info,
                func_info_size=program.func_info_size,
                line_info=program.line_info,
                line_info_size=program.line_info_size,
            )
        assert "seen[1] += 1; @ own.c:9" in refused.value.log
    finally:
        os.close(table)
        os.close(types)
