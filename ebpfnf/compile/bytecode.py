"""Instructions as bcc leaves them: where maps are meant, and what silently went wrong."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

SIZE = 8
_LD_IMM64 = 0x18
_CALL = 0x85
_CALL_REGISTER = 0x8D
_MAP_SOURCES = (1, 2)  # a map's descriptor, a map's value
_MAP_VALUE = _MAP_SOURCES[1]
_FUNCTION_SOURCE = 4  # a function behind the program (link.py)
_ADDRESSES_BELOW = 1 << 31  # an unresolved symbol is a small number; true constants that small need no ld_imm64
_NOT_INLINED = (
    "a call to a function that is not inlined",
    "no memcmp, function pointer, noinline or recursion: compare field by field, or by ip_equal, mac_equal, flow_equal",
)
_ADDRESS = ("the address of a global, a constant table or a string", "keep it in cfg, in scratch, or in a table of the manifest")


@dataclass(frozen=True, slots=True)
class Fault:
    """An instruction that can't be meant."""

    index: int
    what: str
    cure: str


def addressed(insns: bytes, map_ids: Mapping[int, str]) -> bytes:
    """The instructions with each plain constant that is a map's symbolic id as the address of its value: assembly can't say so."""
    code = bytearray(insns)
    for index, kind, source, imm in _walk(insns):
        if kind == _LD_IMM64 and not source and imm in map_ids and not any(insns[(index + 1) * SIZE + 4 : (index + 2) * SIZE]):
            code[index * SIZE + 1] |= _MAP_VALUE << 4
    return bytes(code)


def inspect(insns: bytes, map_ids: Mapping[int, str], loops: Collection[int] = ()) -> tuple[tuple[tuple[int, str], ...], tuple[Fault, ...]]:
    """The relocations (instruction index, map name), and the faults. `loops`: symbolic ids of functions that may be named.

    bcc does not link: a call or an address that it can't resolve stays in the code without a word.
    """
    names = {number & 0xFFFFFFFF: name for number, name in map_ids.items()}
    relocations, faults = [], []
    for index, code, source, imm in _walk(insns):
        if code == _CALL_REGISTER or (code == _CALL and source):
            faults.append(Fault(index, *_NOT_INLINED))
        if code != _LD_IMM64:
            continue
        if source in _MAP_SOURCES and imm in names:
            relocations.append((index, names[imm]))
        elif source == _FUNCTION_SOURCE and imm in loops:
            continue
        elif source:
            faults.append(Fault(index, f"a reference to map {imm:#x}, which does not exist", "report it: the generated code is wrong"))
        elif (imm | struct.unpack_from("<I", insns, (index + 1) * SIZE + 4)[0] << 32) < _ADDRESSES_BELOW:
            faults.append(Fault(index, *_ADDRESS))
    return tuple(relocations), tuple(faults)


def functions(insns: bytes) -> tuple[tuple[int, int], ...]:
    """(instruction index, symbolic id) wherever a function is named."""
    return tuple((index, imm) for index, code, source, imm in _walk(insns) if code == _LD_IMM64 and source == _FUNCTION_SOURCE)


def _walk(insns: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(index, code, source register, imm) of each instruction; the second word of an ld_imm64 is none."""
    index, count = 0, len(insns) // SIZE
    while index < count:
        code, registers, _, imm = struct.unpack_from("<BBhI", insns, index * SIZE)
        yield index, code, registers >> 4, imm
        index += 2 if code == _LD_IMM64 else 1
