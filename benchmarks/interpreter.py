"""A packet's way through a bundle's programs, instruction by instruction, on the contents that their maps have in the kernel.

It knows what programs on direct tables use: arrays, and the helpers that they call. Anything else is an error.
"""

from __future__ import annotations

import operator
import os
import struct
from collections import Counter
from collections.abc import Callable

from ebpfnf.agent.load import Loaded
from ebpfnf.kernel.insn import GET_SMP_PROCESSOR_ID, JIFFIES64, TAIL_CALL, XDP_REDIRECT
from ebpfnf.kernel.maps import Map
from ebpfnf.model import Bundle

_LOOKUP, _PRANDOM, _REDIRECT_MAP, _LOOP = 1, 7, 51, 181  # helpers that insn.py has no use for
_STACK, _CTX = 512, 24
_SHIFT = 40  # an address: number of an area of memory, then the offset in it
_M = (1 << 64) - 1
_SIZES = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
_ALU: dict[int, Callable[[int, int], int]] = {
    0x00: operator.add, 0x10: operator.sub, 0x20: operator.mul, 0x40: operator.or_, 0x50: operator.and_, 0xA0: operator.xor,
    0x30: lambda a, b: a // b if b else 0,
    0x90: lambda a, b: a % b if b else a,
    0x80: lambda a, _: -a,
    0xB0: lambda _, b: b,
}  # fmt: skip
_JUMPS: dict[int, Callable[[int, int], bool]] = {
    0x10: operator.eq, 0x20: operator.gt, 0x30: operator.ge, 0x50: operator.ne, 0xA0: operator.lt, 0xB0: operator.le,
    0x40: lambda a, b: bool(a & b),
    0x60: operator.gt, 0x70: operator.ge, 0xC0: operator.lt, 0xD0: operator.le,
}  # fmt: skip
_SIGNED_JUMPS = (0x60, 0x70, 0xC0, 0xD0)
_ATOMIC: dict[int, Callable[[int, int], int]] = {0x00: operator.add, 0x40: operator.or_, 0x50: operator.and_, 0xA0: operator.xor}


class _TailCall(Exception):
    pass


class Interpreter:
    """What a packet does is kept, so the second packet of a flow finds what the first one made; the kernel's maps stay as they are."""

    def __init__(self, bundle: Bundle, loaded: Loaded) -> None:
        self._bundle = bundle
        self._areas: list[bytearray] = [bytearray()]
        self._maps: dict[str, tuple[int, int]] = {}  # address of the first value, distance of two
        for spec in bundle.maps:
            if spec.kind not in ("array", "percpu_array"):
                continue
            with Map(os.dup(loaded.maps[spec.name])) as there:
                keys = [struct.pack("=I", key) for key in range(spec.max_entries)]
                values = [there.lookup(key) if spec.kind == "array" else (there.lookup_percpu(key) or [b""])[0] for key in keys]
            step = -(-len(values[0] or b"") // 8) * 8
            self._maps[spec.name] = self._area(bytearray(b"".join((value or b"").ljust(step, b"\0") for value in values))), step

    def run(self, frame: bytes) -> tuple[int, bytes, Counter[tuple[int, int]]]:
        """XDP action, the frame as it leaves, and how often each instruction was executed, by program and index."""
        self._frame, self._program, self.executed = bytearray(frame), 0, Counter[tuple[int, int]]()
        before = len(self._areas)
        self._packet, context = self._area(self._frame), self._area(bytearray(_CTX))
        self._context = context
        try:
            while True:
                try:
                    return self._call(0, [context]), bytes(self._frame), self.executed
                except _TailCall as call:
                    (self._program,) = call.args
        finally:
            del self._areas[before:]

    def _area(self, memory: bytearray) -> int:
        self._areas.append(memory)
        return len(self._areas) - 1 << _SHIFT

    def _at(self, address: int, size: int) -> tuple[bytearray, slice]:
        area, offset = self._areas[address >> _SHIFT], address & (1 << _SHIFT) - 1
        if not address >> _SHIFT or offset + size > len(area):
            raise ValueError(f"no memory at {address:#x}")
        return area, slice(offset, offset + size)

    def _load(self, address: int, size: int) -> int:
        if address >> _SHIFT == self._context >> _SHIFT:  # data, data_end
            return {0: self._packet, 4: self._packet + len(self._frame)}[address - self._context]
        area, place = self._at(address, size)
        return int.from_bytes(area[place], "little")

    def _store(self, address: int, size: int, value: int) -> None:
        area, place = self._at(address, size)
        area[place] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    def _call(self, pc: int, arguments: list[int]) -> int:
        """A function's r0, from the instruction at which it begins."""
        program = self._bundle.programs[self._program]
        relocations = dict(program.relocations)
        r = [0, *arguments, *[0] * (10 - len(arguments))]
        r[10] = self._area(bytearray(_STACK)) + _STACK
        while True:
            code, registers, off, imm = struct.unpack_from("<BBhi", program.insns, 8 * pc)
            dst, src, kind, what = registers & 15, registers >> 4, code & 7, code & 0xF0
            self.executed[self._program, pc] += 1
            pc += 1
            mask = _M if kind in (5, 7) else 0xFFFFFFFF
            if code == 0x18:
                high = struct.unpack_from("<I", program.insns, 8 * pc + 4)[0]
                r[dst] = (pc + imm if src == 4 else imm & 0xFFFFFFFF | high << 32) & _M
                if pc - 1 in relocations:
                    r[dst] = self._maps.get(relocations[pc - 1], (0, 0))[0] + (high if src == 2 else 0)
                pc += 1
            elif code == 0x95:
                self._areas.pop()
                return r[0]
            elif code == 0x85:
                r[0] = self._helper(imm, r)
            elif kind in (4, 7) and what == 0xD0:  # the bytes of a number the other way round, or its lowest ones as they are
                low = (r[dst] & (1 << imm) - 1).to_bytes(imm // 8, "little")
                r[dst] = int.from_bytes(low, "big" if code & 8 or kind == 7 else "little")
            elif kind in (4, 7):
                r[dst] = _computed(what, r[dst] & mask, (r[src] if code & 8 else imm) & mask, mask) & mask
            elif kind == 1:
                r[dst] = self._load(r[src] + off, _SIZES[code & 0x18])
            elif kind in (2, 3) and code & 0xE0 == 0x60:
                self._store(r[dst] + off, _SIZES[code & 0x18], r[src] if kind == 3 else imm)
            elif kind == 3:
                self._atomic(r, r[dst] + off, _SIZES[code & 0x18], src, imm)
            elif what == 0x00:
                pc += off if kind == 5 else imm
            else:
                a, b = r[dst] & mask, (r[src] if code & 8 else imm) & mask
                if what in _SIGNED_JUMPS:
                    a, b = _signed(a, mask), _signed(b, mask)
                pc += off if _JUMPS[what](a, b) else 0

    def _atomic(self, r: list[int], address: int, size: int, src: int, imm: int) -> None:
        old = self._load(address, size)
        if imm == 0xF1:  # compare with r0 and exchange
            if old == r[0] & (1 << 8 * size) - 1:
                self._store(address, size, r[src])
            r[0] = old
            return
        self._store(address, size, _ATOMIC[imm & 0xF0](old, r[src]))
        if imm & 1:
            r[src] = old

    def _helper(self, number: int, r: list[int]) -> int:
        match number:
            case _ if number == TAIL_CALL:
                raise _TailCall(r[3])
            case _ if number == _LOOKUP:
                step = next(step for base, step in self._maps.values() if base == r[1])
                return r[1] + step * self._load(r[2], 4)
            case _ if number == _LOOP:
                turns = next((turn for turn in range(r[1]) if self._call(r[2], [turn, r[3]])), r[1])
                return turns + 1
        return {GET_SMP_PROCESSOR_ID: 0, JIFFIES64: 1 << 20, _PRANDOM: 0x12345, _REDIRECT_MAP: XDP_REDIRECT}[number]


def _computed(what: int, a: int, b: int, mask: int) -> int:
    by = b & (63 if mask == _M else 31)
    match what:
        case 0x60:
            return a << by
        case 0x70:
            return a >> by
        case 0xC0:
            return _signed(a, mask) >> by
    return _ALU[what](a, b)


def _signed(value: int, mask: int) -> int:
    return value - (mask + 1) if value > mask >> 1 else value
