"""Programs of the kernel's traffic control: loading them, and a link at an interface's ingress (tcx, Linux 6.6)."""

from __future__ import annotations

import struct

from benchmarks.measure import Unavailable
from ebpfnf.kernel.syscall import BpfError, Command, address, bpf

_SCHED_CLS, _TCX_INGRESS = 3, 46


def load(insns: bytes) -> int:
    """The fd of a loaded program; BpfError where the verifier won't have it."""
    code, licence = bytearray(insns), bytearray(b"GPL\0")
    attr = struct.pack("=IIQQ", _SCHED_CLS, len(code) // 8, address(code), address(licence))
    return bpf(Command.PROG_LOAD, bytearray(attr + bytes(120)))


def attach(program: int, ifindex: int) -> int:
    """The fd of its link: what closes it detaches."""
    try:
        return bpf(Command.LINK_CREATE, bytearray(struct.pack("=IIII", program, ifindex, _TCX_INGRESS, 0) + bytes(48)))
    except BpfError as error:
        raise Unavailable(f"links of traffic control, which Linux 6.6 brought ({error.strerror})") from None
