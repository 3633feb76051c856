"""BPF type format as LLVM writes it: take apart, mend, cut out one function's part."""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass

MAGIC = b"\x9f\xeb\x01\x00"
FUNCTION_SECTION = ".bpf.fn."  # bcc's prefix: one section a function
_FUNC, _DATASEC = 12, 15
_STATIC = 0  # a function's linkage, where a type has its number of members
_EXTRA = {1: 4, 3: 12, 14: 4, 17: 4}  # bytes behind the 12 that every type has, by kind: int, array, var, decl tag
_EXTRA_PER_MEMBER = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}  # struct, union, enum, func proto, datasec, enum64


@dataclass(frozen=True, slots=True)
class Line:
    """Where an instruction comes from; line and column are 0 where the compiler made it up."""

    index: int
    file: str
    line: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class Info:
    """func_info or line_info of one function; record size in bytes, offsets counted in instructions."""

    records: bytes
    size: int


class Btf:
    """A .BTF section, with these functions `static`. ValueError when it is none, or is damaged."""

    def __init__(self, data: bytes, static: Collection[str] = ()) -> None:
        try:
            if data[:4] != MAGIC:
                raise ValueError("not BTF")
            header, types_at, types_size, strings_at, strings_size = struct.unpack_from("<5I", data, 4)
            if header != 24 or types_at or strings_at != types_size or not strings_size:
                raise ValueError("a layout that LLVM does not write")
            if len(data) < header + types_size + strings_size:
                raise ValueError("cut short")
        except struct.error:
            raise ValueError("cut short") from None
        self.types = bytearray(data[header : header + types_size])
        self.strings = data[header + types_size : header + types_size + strings_size]
        if self.strings[0] or self.strings[-1]:
            raise ValueError("broken string table")
        self.strings.decode()
        self._mend(static)

    def _mend(self, static: Collection[str]) -> None:
        """Give sections their size and functions their linkage: LLVM leaves that to a linker, which there is none. All types are walked."""
        at = 0
        try:
            while at < len(self.types):
                name, info, size = struct.unpack_from("<III", self.types, at)
                called = self.string(name)
                kind, members = info >> 24 & 31, info & 0xFFFF
                if kind == 0 or kind > 19:
                    raise ValueError("unknown type")
                if kind == _FUNC and called in static:
                    struct.pack_into("<I", self.types, at + 4, info & ~0xFFFF | _STATIC)
                    members = 0
                if kind == _DATASEC and not size:
                    for i in range(members):
                        member = at + 12 + 12 * i
                        struct.pack_into("<I", self.types, member + 4, size)
                        size += struct.unpack_from("<I", self.types, member + 8)[0]
                    struct.pack_into("<I", self.types, at + 8, size)
                at += 12 + _EXTRA.get(kind, 0) + _EXTRA_PER_MEMBER.get(kind, 0) * members
        except struct.error:
            raise ValueError("broken types") from None
        if at != len(self.types):
            raise ValueError("broken types")

    def string(self, offset: int) -> str:
        """The string at this offset."""
        if offset >= len(self.strings):
            raise ValueError("no such string")
        return self.strings[offset : self.strings.index(b"\0", offset)].decode(errors="replace")

    def encode(self) -> bytes:
        """The section as the kernel takes it."""
        sizes = struct.pack("<5I", 24, 0, len(self.types), len(self.types), len(self.strings))
        return MAGIC + sizes + bytes(self.types) + self.strings


def length(data: bytes, at: int) -> int:
    """Bytes that the BTF section at `at` claims to have, 0 when its header isn't one."""
    if len(data) - at < 24:
        return 0
    header, types_at, types_size, strings_at, strings_size = struct.unpack_from("<5I", data, at + 4)
    fits = header == 24 and types_at == 0 and strings_at == types_size and types_size and strings_size
    return header + types_size + strings_size if fits else 0


def ext_length(data: bytes, at: int) -> int:
    """The same for .BTF.ext."""
    if len(data) - at < 32:
        return 0
    header, func_at, func_size, line_at, line_size, core_at, core_size = struct.unpack_from("<7I", data, at + 4)
    fits = header == 32 and func_at == 0 and line_at == func_size and func_size and line_size
    return header + func_size + line_size + (core_size if fits and core_at else 0) if fits else 0


def sections(btf: Btf, ext: bytes) -> tuple[dict[str, Info], dict[str, Info]]:
    """func_info and line_info of .BTF.ext by function; ValueError where it doesn't belong to `btf`."""
    result: list[dict[str, Info]] = []
    try:
        header, *parts = struct.unpack_from("<5I", ext, 4)
        for start, size in (parts[:2], parts[2:]):
            at, end = header + start, header + start + size
            (record,) = struct.unpack_from("<I", ext, at)
            at, found = at + 4, {}
            while at < end:
                name, count = struct.unpack_from("<II", ext, at)
                data = ext[at + 8 : at + 8 + record * count]
                if record < 8 or len(data) != record * count:
                    raise ValueError("cut short")
                section = btf.string(name)
                if not section.startswith(FUNCTION_SECTION):
                    raise ValueError("not bcc's sections")
                found[section.removeprefix(FUNCTION_SECTION)] = Info(_in_instructions(data, record), record)
                at += 8 + len(data)
            result.append(found)
    except struct.error:
        raise ValueError("cut short") from None
    return result[0], result[1]


def _in_instructions(data: bytes, record: int) -> bytes:
    """LLVM counts bytes, the kernel instructions."""
    out = bytearray(data)
    for at in range(0, len(out), record):
        struct.pack_into("<I", out, at, struct.unpack_from("<I", out, at)[0] // 8)
    return bytes(out)


def plain_paths(btf: Btf, info: Info) -> Info:
    """File names without the `./` that clang writes: an offset may point into the midst of a string."""
    out = bytearray(info.records)
    for at in range(0, len(out), info.size):
        (name,) = struct.unpack_from("<I", out, at + 4)
        while btf.strings.startswith(b"./", name):
            name += 2
        struct.pack_into("<I", out, at + 4, name)
    return Info(bytes(out), info.size)


def lines(btf: Btf, info: Info) -> tuple[Line, ...]:
    """line_info in words."""
    result = []
    for at in range(0, len(info.records), info.size):
        index, name, text, place = struct.unpack_from("<4I", info.records, at)
        result.append(Line(index, btf.string(name), place >> 10, place & 1023, btf.string(text)))
    return tuple(result)
