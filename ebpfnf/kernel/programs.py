"""XDP programs: load, run, ask."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

from ebpfnf.kernel import pins, syscall
from ebpfnf.kernel.syscall import BpfError, Command, address, bpf, bpf_at

XDP_TYPE = 6
# expected_attach_type BPF_XDP, always: a prog array refuses programs that differ in it
ATTACH_XDP = 37

MIN_FRAME = 14  # test_run refuses less than an Ethernet header

_LIVE_FRAMES = 2
_TRIES = 5  # loading answers EAGAIN where a signal came in between
_LOG_SIZES = (1 << 20, 1 << 24)
_LOG_TRUE_SIZE = 140  # offset in attr; not zero: this kernel keeps the end of a log that is too long, which is what is wanted
_ROOM = 512  # a program may lengthen a frame at both ends


class LoadRefused(BpfError):
    """The verifier (or, with an empty log, the system call) refused a program."""

    def __init__(self, number: int, text: str, log: str) -> None:
        super().__init__(number, text)
        self.log = log


@dataclass(frozen=True, slots=True)
class TestRun:
    """What a run returned: XDP action, the frame as the program left it, mean ns of one run."""

    __test__ = False  # not a class of tests

    action: int
    data: bytes
    ns: int


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """What the kernel knows of a loaded program. Sizes in bytes; `run_ns` and `runs` count while kernel.bpf_stats is on."""

    id: int
    tag: str
    name: str
    type: int
    jited: int
    xlated: int
    map_ids: tuple[int, ...]
    verified_insns: int
    run_ns: int
    runs: int


def load(
    insns: bytes,
    name: str,
    *,
    btf_fd: int = 0,
    func_info: bytes = b"",
    func_info_size: int = 8,
    line_info: bytes = b"",
    line_info_size: int = 16,
    attach_type: int = ATTACH_XDP,
) -> int:
    """The fd of a loaded XDP program; LoadRefused, with the verifier's log, where the kernel won't have it."""
    code, licence, funcs, lines = bytearray(insns), bytearray(b"GPL\0"), bytearray(func_info), bytearray(line_info)
    debug = bool(btf_fd and func_info)  # without functions the kernel refuses lines too

    def attributes(log: bytearray | None) -> bytearray:
        attr = struct.pack(
            "=IIQQIIQII16sIIIIQIIQI",
            XDP_TYPE,
            len(code) // 8,
            address(code),
            address(licence),
            1 if log else 0,
            len(log) if log else 0,
            address(log) if log else 0,
            0,
            0,
            _label(name),
            0,
            attach_type,
            btf_fd if debug else 0,
            func_info_size if debug else 0,
            address(funcs) if debug else 0,
            len(funcs) // func_info_size if debug else 0,
            line_info_size if debug and lines else 0,
            address(lines) if debug and lines else 0,
            len(lines) // line_info_size if debug else 0,
        )
        return bytearray(attr + bytes(36))

    try:
        return _load(attributes(None))  # a log costs time: it is asked for only where there is something to read in it
    except BpfError as error:
        refusal = error
    log = bytearray()
    for size in _LOG_SIZES:
        log = bytearray(size)
        attr = attributes(log)
        try:
            return _load(attr)
        except BpfError as error:
            if error.errno != errno.ENOSPC or _u32(attr, _LOG_TRUE_SIZE):
                break
    text = bytes(log[: log.find(0)]).decode(errors="replace")
    raise LoadRefused(refusal.errno or 0, refusal.strerror or str(refusal), text)


def _load(attr: bytearray) -> int:
    for _ in range(_TRIES - 1):
        try:
            return bpf(Command.PROG_LOAD, attr)
        except BpfError as error:
            if error.errno != errno.EAGAIN:
                raise
    return bpf(Command.PROG_LOAD, attr)


def btf_load(data: bytes) -> int:
    """The fd of loaded type information."""
    raw = bytearray(data)
    return bpf(Command.BTF_LOAD, bytearray(struct.pack("=QQIII", address(raw), 0, len(raw), 0, 0) + bytes(4)))


def open_id(program_id: int, *pinned: str) -> int:
    """An fd of the program with this id: by one of the pins that may be its own, else by its number, for which CAP_SYS_ADMIN is needed."""
    for path in pinned:
        fd = pins.find(path)
        if fd is not None:
            if info(fd).id == program_id:
                return fd
            os.close(fd)
    return bpf(Command.PROG_GET_FD_BY_ID, bytearray(struct.pack("=III", program_id, 0, 0)))


def info(fd: int) -> ProgramInfo:
    """What the kernel knows of the program `fd`."""
    data = syscall.info(fd, 232)
    kind, number = struct.unpack_from("=II", data)
    jited, xlated = struct.unpack_from("=II", data, 16)
    (map_count,) = struct.unpack_from("=I", data, 52)
    ids = bytearray(4 * max(1, map_count))
    ask = bytearray(232)
    struct.pack_into("=IQ", ask, 52, map_count, address(ids))
    bpf(Command.OBJ_GET_INFO_BY_FD, bytearray(struct.pack("=IIQ", fd, len(ask), address(ask))))
    run_ns, runs = struct.unpack_from("=QQ", data, 192)
    return ProgramInfo(
        id=number,
        tag=data[8:16].hex(),
        name=bytes(data[64:80]).split(b"\0")[0].decode(),
        type=kind,
        jited=jited,
        xlated=xlated,
        map_ids=struct.unpack_from(f"={map_count}I", ids),
        verified_insns=struct.unpack_from("=I", data, 216)[0],
        run_ns=run_ns,
        runs=runs,
    )


class Runner:
    """Runs one program again and again by BPF_PROG_TEST_RUN, on buffers made once: no allocation and one call a frame."""

    def __init__(self, fd: int, largest: int = 4096) -> None:
        self.fd = fd
        self._reserve(largest)

    def run(self, data: bytes, repeat: int = 1, ifindex: int = 0) -> int:
        """The XDP action for the frame `data` as if received by interface `ifindex` of this namespace (0: loopback).

        BpfError EINVAL where the kernel won't run it: fewer than 14 bytes, more than it has room for, no such interface.
        """
        size = len(data)
        if size > self._largest:
            self._reserve(size)
        ctypes.memmove(self._in, data, size)
        # data_size_in, data_size_out, then repeat; retval comes back at 4, duration at 36
        struct.pack_into("=II", self._attr, 8, size, self._largest + _ROOM)
        struct.pack_into("=I", self._attr, 32, repeat)
        if ifindex:
            struct.pack_into("=6I", self._ctx, 0, 0, size, 0, ifindex, 0, 0)
            struct.pack_into("=IIQ", self._attr, 40, 24, 0, self._ctx_at)
        else:
            struct.pack_into("=IIQ", self._attr, 40, 0, 0, 0)
        bpf_at(Command.PROG_TEST_RUN, self._attr_at, 80)
        return _u32(self._attr, 4)

    @property
    def data(self) -> bytes:
        """The frame as the last run left it."""
        return bytes(self._out[: _u32(self._attr, 12)])

    @property
    def ns(self) -> int:
        """Mean nanoseconds of one run in the last call."""
        return _u32(self._attr, 36)

    def _reserve(self, largest: int) -> None:
        self._largest = largest
        self._source, self._out, self._ctx, self._attr = bytearray(largest), bytearray(largest + _ROOM), bytearray(24), bytearray(80)
        self._in, self._ctx_at, self._attr_at = address(self._source), address(self._ctx), address(self._attr)
        struct.pack_into("=I", self._attr, 0, self.fd)
        struct.pack_into("=QQ", self._attr, 16, self._in, address(self._out))


def test_run(fd: int, data: bytes, *, repeat: int = 1, ifindex: int = 0, out_size: int | None = None) -> TestRun:
    """One call of `Runner.run`. `out_size`: how long the frame may have become, default 512 bytes longer."""
    runner = Runner(fd, max(len(data), (out_size or 0) - _ROOM))
    action = runner.run(data, repeat, ifindex)
    return TestRun(action, runner.data, runner.ns)


test_run.__test__ = False  # type: ignore[attr-defined]  # not a test


def send(fd: int, data: bytes, *, count: int, ifindex: int, batch: int = 64) -> None:
    """Run the program `count` times on real frames: what it answers is done (XDP_TX leaves by `ifindex`, XDP_REDIRECT, XDP_PASS).

    A traffic generator: the interface is one of the caller's network namespace. Frames that the program dropped or
    that a queue lost are not reported. A signal ends it early (BpfError EINTR).
    """
    frame = bytearray(data)
    context = bytearray(struct.pack("=6I", 0, len(frame), 0, ifindex, 0, 0))
    attr = struct.pack(
        "=IIIIQQIIIIQQIII", fd, 0, len(frame), 0, address(frame), 0, count, 0, len(context), 0, address(context), 0, _LIVE_FRAMES, 0, batch
    )
    bpf(Command.PROG_TEST_RUN, bytearray(attr + bytes(4)))


def _u32(data: bytearray, at: int) -> int:
    return int(struct.unpack_from("=I", data, at)[0])


def _label(name: str) -> bytes:
    return "".join(c if c.isalnum() else "_" for c in name)[:15].encode("ascii", "replace")
