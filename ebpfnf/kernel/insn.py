"""BPF instructions, and the two programs that are written in them: the root program of a port, and that of a VM's tap.

Everything else is compiled C; these are assembled because they must exist on a host without a compiler, with a port's number or the
host's CPU mask in them.
"""

from __future__ import annotations

import struct
import sys

XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT = range(5)

# helpers, by their number in enum bpf_func_id
GET_SMP_PROCESSOR_ID, TAIL_CALL, JIFFIES64 = 8, 12, 118

INGRESS_SLOT = 64  # bytes of a CPU's slot in `ingress`: one cache line, so that CPUs don't share one
INGRESS_MISSED = 8  # offset of the u64 count of missed calls in it
INGRESS_STRAYS = 16  # ... and of frames from VMs whose cookie names no generation
COOKIE_GENERATION = 8  # offset of the u16 in a cookie (vm.h)
_CONTROL = int.from_bytes(b"\x88\xb5", sys.byteorder)

_SIZES = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}
_ALU = {"add": 0x0, "sub": 0x1, "mul": 0x2, "or": 0x4, "and": 0x5, "lsh": 0x6, "rsh": 0x7, "mov": 0xB}
_JUMPS = {"ja": 0x0, "jeq": 0x1, "jgt": 0x2, "jge": 0x3, "jne": 0x5}


def raw(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    """One instruction."""
    return struct.pack("=BBhI", code, dst | src << 4, off, imm & 0xFFFFFFFF)


def alu(operation: str, dst: int, imm: int) -> bytes:
    """dst = dst `operation` imm, 64 bits wide."""
    return raw(_ALU[operation] << 4 | 0x07, dst, 0, 0, imm)


def alu_reg(operation: str, dst: int, src: int) -> bytes:
    """dst = dst `operation` src, 64 bits wide."""
    return raw(_ALU[operation] << 4 | 0x0F, dst, src)


def load(size: int, dst: int, src: int, off: int = 0) -> bytes:
    """dst = the `size` bytes at src + off."""
    return raw(0x61 | _SIZES[size], dst, src, off)


def store(size: int, dst: int, off: int, src: int) -> bytes:
    """The `size` bytes at dst + off = src."""
    return raw(0x63 | _SIZES[size], dst, src, off)


def store_imm(size: int, dst: int, off: int, imm: int) -> bytes:
    """The `size` bytes at dst + off = imm."""
    return raw(0x62 | _SIZES[size], dst, 0, off, imm)


def load_imm64(dst: int, value: int) -> bytes:
    """dst = value; two instructions."""
    return raw(0x18, dst, 0, 0, value) + raw(0, imm=value >> 32)


def load_map(dst: int, fd: int) -> bytes:
    """dst = the map with this fd; two instructions."""
    return raw(0x18, dst, 1, 0, fd) + raw(0)


def load_value(dst: int, fd: int, offset: int = 0) -> bytes:
    """dst = address of the value of an array with one entry; two instructions."""
    return raw(0x18, dst, 2, 0, fd) + raw(0, imm=offset)


def jump(condition: str, dst: int, imm: int, over: int) -> bytes:
    """Skip `over` instructions if dst `condition` imm."""
    return raw(_JUMPS[condition] << 4 | 0x05, dst, 0, over, imm)


def jump_reg(condition: str, dst: int, src: int, over: int) -> bytes:
    """Skip `over` instructions if dst `condition` src."""
    return raw(_JUMPS[condition] << 4 | 0x0D, dst, src, over)


def call(helper: int) -> bytes:
    """Call a helper."""
    return raw(0x85, imm=helper)


def leave(action: int | None = None) -> bytes:
    """Return `action`, or what r0 holds."""
    return (b"" if action is None else alu("mov", 0, action)) + raw(0x95)


def cpu_slot(dst: int, fd: int, slot_size: int, cpu_mask: int) -> bytes:
    """dst = this CPU's slot in a directly addressed per-CPU map. Uses r0 to r5."""
    return call(GET_SMP_PROCESSOR_ID) + alu("and", 0, cpu_mask) + alu("mul", 0, slot_size) + load_value(dst, fd) + alu_reg("add", dst, 0)


def root_program(port_number: int, ingress_fd: int, root_fd: int, cpu_mask: int, on_fault: str) -> bytes:
    """The program attached to a port, which never changes: says by which port the packet came, and calls the live generation.

    Where slot 0 of `root` is empty the call falls through: counted, then dropped or passed as `on_fault` (drop | pass) says.
    """
    return b"".join(
        (
            alu_reg("mov", 6, 1),
            cpu_slot(7, ingress_fd, INGRESS_SLOT, cpu_mask),
            store_imm(4, 7, 0, port_number),
            alu_reg("mov", 1, 6),
            load_map(2, root_fd),
            alu("mov", 3, 0),
            call(TAIL_CALL),
            load(8, 1, 7, INGRESS_MISSED),
            alu("add", 1, 1),
            store(8, 7, INGRESS_MISSED, 1),
            leave({"drop": XDP_DROP, "pass": XDP_PASS}[on_fault]),
        )
    )


def tap_program(ingress_fd: int, resume_fd: int, slots: int, cpu_mask: int) -> bytes:
    """The program of a VM's tap: control frames go to the manager, anything else to the generation that its cookie names.

    Where that one is gone, or the frame is none of ours: counted and dropped. Nothing else of a guest's ever reaches the host.
    """
    stray = b"".join(
        (
            cpu_slot(7, ingress_fd, INGRESS_SLOT, cpu_mask),
            load(8, 1, 7, INGRESS_STRAYS),
            alu("add", 1, 1),
            store(8, 7, INGRESS_STRAYS, 1),
            leave(XDP_DROP),
        )
    )
    go_on = b"".join(
        (
            load(2, 3, 2, COOKIE_GENERATION),
            alu("and", 3, slots - 1),
            alu_reg("mov", 1, 6),
            load_map(2, resume_fd),
            call(TAIL_CALL),
        )
    )
    to_manager = leave(XDP_PASS)
    look = load(2, 5, 2, 12) + jump("jne", 5, _CONTROL, len(to_manager) // 8) + to_manager
    return b"".join(
        (
            alu_reg("mov", 6, 1),
            load(4, 2, 6, 0),
            load(4, 3, 6, 4),
            alu_reg("mov", 4, 2),
            alu("add", 4, 14),
            jump_reg("jgt", 4, 3, (len(look) + len(go_on)) // 8),
            look,
            go_on,
            stray,
        )
    )
