"""Functions that a program hands to `bpf_loop` stand behind it: bcc compiles each by itself and links nothing.

The kernel walks through such a function until nothing new comes up, not once for each of its turns, however many there are.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from ebpfnf.compile.btf import Info
from ebpfnf.compile.bytecode import SIZE, functions

_NONE = Info(b"", 0)
# bpf_loop gives the turn and the argument. bcc makes something else of an exported function's second parameter: the first is the argument.
_ENTRY = struct.pack("<BBhi", 0xBF, 2 << 4 | 1, 0, 0)  # r1 = r2


@dataclass(frozen=True, slots=True)
class Code:
    """A function's instructions with their relocations, and where they come from. Indices count instructions."""

    insns: bytes
    relocations: tuple[tuple[int, str], ...]
    functions: Info = _NONE
    lines: Info = _NONE


def link(program: Code, others: Mapping[int, Code]) -> Code:
    """`program` followed by those of `others`, by symbolic id, that it names; they name none themselves."""
    insns, relocations = bytearray(program.insns), list(program.relocations)
    records, lines = program.functions.records, program.lines.records
    starts: dict[int, int] = {}
    for index, number in functions(program.insns):
        if number not in starts:
            base = starts[number] = len(insns) // SIZE
            other = others[number]
            insns += _ENTRY + other.insns
            relocations += [(base + 1 + at, name) for at, name in other.relocations]
            records += _moved(other.functions, base)
            lines += _moved(other.lines, base)
        struct.pack_into("<i", insns, index * SIZE + 4, starts[number] - index - 1)
    return Code(bytes(insns), tuple(relocations), Info(records, program.functions.size), Info(lines, program.lines.size))


def _moved(info: Info, base: int) -> bytes:
    """Where a function began it begins still; the rest stands one further on."""
    out = bytearray(info.records)
    for at in range(0, len(out), info.size or 1):
        (index,) = struct.unpack_from("<I", out, at)
        struct.pack_into("<I", out, at, base + index + bool(index))
    return bytes(out)
