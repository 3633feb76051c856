"""What programs can do with memory that they share with us, and Python can't: a 64-bit compare-and-swap, and the time as they read it."""

from __future__ import annotations

import os

from ebpfnf.kernel import insn, programs

_STX_ATOMIC_64, _CMPXCHG = 0xDB, 0xF1  # linux/bpf.h
_FRAME = bytes(64)


def compare_and_swap(fd: int, offset: int, expected: int, wanted: int) -> bool:
    """Store `wanted` at an offset of the array's first value if `expected` stands there, as one step; False where it did not."""
    code = (
        insn.load_imm64(0, expected),
        insn.load_imm64(2, wanted),
        insn.load_value(1, fd, offset),
        insn.raw(_STX_ATOMIC_64, 1, 2, 0, _CMPXCHG),  # r0 becomes what stood there
        insn.load_imm64(3, expected),
        insn.jump_reg("jeq", 0, 3, 2),
        insn.leave(insn.XDP_DROP),
        insn.leave(insn.XDP_PASS),
    )
    return _run("compare_and_swap", *code) == insn.XDP_PASS


def jiffies() -> int:
    """The low 32 bits of the kernel's jiffies64."""
    return _run("jiffies", insn.call(insn.JIFFIES64), insn.leave())


def _run(name: str, *code: bytes) -> int:
    """What a program returns that is run once."""
    program = programs.load(b"".join(code), name)
    try:
        return programs.test_run(program, _FRAME).action
    finally:
        os.close(program)
