"""A 64-bit compare-and-swap on a map's memory, which packets change too: Python has none, BPF does."""

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
    program = programs.load(b"".join(code), "compare_and_swap")
    try:
        return programs.test_run(program, _FRAME).action == insn.XDP_PASS
    finally:
        os.close(program)
