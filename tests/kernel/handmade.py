"""A small bundle written by hand: what load and private are tested with, without a compiler."""

from __future__ import annotations

import struct

from ebpfnf.kernel import insn
from ebpfnf.kernel.syscall import cpu_slots
from ebpfnf.model import Bundle, ConstLayout, Counter, MapSpec, Port, Program, Scope, SlotLayout, Table

SLOT = SlotLayout(size=128, exit=0, clock=24, counts=64, record=40)
CONST = ConstLayout(size=144, cpu_mask=0, flags=4, tick_ns=8, ports=16)
COUNTERS = (Counter(0, "wan.first", "pass", port="wan"), Counter(1, "wan.second", "drop", port="wan", position=4))
PORTS = (Port("wan", 1, "eth0"), Port("lan", 2, "eth1"))
MAPS = (
    MapSpec("ingress", "array", 4, 64, 1, Scope.DEPLOYMENT, per_cpu_slots=True),
    MapSpec("chain", "prog_array", 4, 4, 2),
    MapSpec("meta", "array", 4, SLOT.size, 1, per_cpu_slots=True),
    MapSpec("const", "array", 4, CONST.size, 1, frozen=bytes(CONST.size)),
    MapSpec("ports", "devmap", 4, 4, 3),
)


def program(name: str, *parts: bytes | tuple[int, int, str], **more: object) -> Program:
    """A program of instructions and references (register, 1 for the map or 2 for its value, map)."""
    code, relocations = b"", []
    for part in parts:
        if isinstance(part, tuple):
            register, source, name_of_map = part
            relocations.append((len(code) // 8, name_of_map))
            part = insn.raw(0x18, register, source, 0, 0x7F000000) + insn.raw(0)
        code += part
    return Program(name, code, tuple(relocations), **more)  # type: ignore[arg-type]


def slot(register: int, map_name: str, size: int) -> tuple[bytes | tuple[int, int, str], ...]:
    """register = this CPU's slot in the map."""
    this_cpu = (insn.call(insn.GET_SMP_PROCESSOR_ID), insn.alu("and", 0, cpu_slots() - 1), insn.alu("mul", 0, size))
    return (*this_cpu, (register, 2, map_name), insn.alu_reg("add", register, 0))


def leaving(action: int, counter: int, port: int = 0, position: int = 0) -> tuple[bytes | tuple[int, int, str], ...]:
    """Count, write the exit record, and return `action`. Register 7 holds the slot."""
    at = SLOT.counts + 8 * counter
    return (
        *slot(7, "meta", SLOT.size),
        insn.load(8, 1, 7, at) + insn.alu("add", 1, 1) + insn.store(8, 7, at, 1),
        insn.store_imm(4, 7, 0, action)
        + insn.store_imm(4, 7, 4, counter)
        + insn.store_imm(4, 7, 8, port)
        + insn.store_imm(4, 7, 12, position),
        insn.load(8, 1, 7, 16) + insn.alu("add", 1, 1) + insn.store(8, 7, 16, 1),
        insn.leave(action),
    )


def tail_call(segment: int) -> tuple[bytes | tuple[int, int, str], ...]:
    """Call a segment with the context in register 6."""
    return insn.alu_reg("mov", 1, 6), (2, 1, "chain"), insn.alu("mov", 3, segment), insn.call(insn.TAIL_CALL)


def bundle(
    *programs: Program, maps: tuple[MapSpec, ...] = MAPS, tables: tuple[Table, ...] = (), authors: dict[str, str] | None = None
) -> Bundle:
    """A bundle of these programs."""
    return Bundle(
        deployment="handmade", ports=PORTS, programs=programs, maps=maps, tables=tables, counters=COUNTERS, slot=SLOT, const=CONST,
        stages=(), positions=(), links=(), chains=(), authors=authors or {},
    )  # fmt: skip


def copying() -> Bundle:
    """The entry stores the port and the clock into the record, and calls the second segment, which redirects to port 2."""
    entry = program(
        "entry",
        insn.alu_reg("mov", 6, 1),
        *slot(8, "ingress", 64),
        *slot(7, "meta", SLOT.size),
        insn.load(4, 1, 8, 0) + insn.store(8, 7, SLOT.record, 1),
        insn.load(8, 1, 7, SLOT.clock) + insn.store(8, 7, SLOT.record + 8, 1),
        *tail_call(1),
        *leaving(insn.XDP_PASS, 0),
    )
    return bundle(entry, program("second", *leaving(insn.XDP_REDIRECT, 1, port=2, position=5)))


def u32(value: int) -> bytes:
    """A key or a value."""
    return struct.pack("=I", value)
