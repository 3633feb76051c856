"""bpf_links of XDP programs: attach, replace, detach, and who sits on an interface."""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass

from ebpfnf.kernel import programs, syscall
from ebpfnf.kernel.syscall import BpfError, Command, bpf

_REPLACE = 1 << 2
_MODES = {"generic": 1 << 1, "native": 1 << 2}

# rtnetlink
_RTM_NEWLINK, _RTM_GETLINK, _NLM_F_REQUEST, _NLMSG_ERROR = 16, 18, 1, 2
_IFLA_XDP, _IFLA_XDP_ATTACHED, _IFLA_XDP_PROG_ID = 43, 2, 4
_NLA_TYPE = 0x3FFF
_ATTACHED = {1: "native", 2: "generic", 3: "offload", 4: "several"}


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """What the kernel knows of a link; `ifindex` 0: it was detached, or its interface is gone."""

    id: int
    prog_id: int
    ifindex: int


@dataclass(frozen=True, slots=True)
class Owner:
    """The XDP program on an interface."""

    prog_id: int
    name: str
    mode: str  # native | generic | offload | several


def create_xdp(prog_fd: int, ifindex: int, mode: str = "native") -> int:
    """Attach: the link's fd. `auto` is native, or generic where the driver has no XDP. BpfError EBUSY: another program is there."""
    if mode == "auto":
        try:
            return create_xdp(prog_fd, ifindex, "native")
        except BpfError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            mode = "generic"
    attr = struct.pack("=IIII", prog_fd, ifindex, programs.ATTACH_XDP, _MODES[mode])
    return bpf(Command.LINK_CREATE, bytearray(attr + bytes(48)))


def info(fd: int) -> LinkInfo:
    """What the kernel knows of the link `fd`."""
    data = syscall.info(fd, 48)
    _, number, prog_id, _, ifindex = struct.unpack_from("=5I", data)
    return LinkInfo(number, prog_id, ifindex)


def detach(fd: int) -> None:
    """Take the program off its interface; the link stays as an empty object."""
    bpf(Command.LINK_DETACH, bytearray(struct.pack("=I", fd)))


def update(fd: int, prog_fd: int, old_prog_fd: int | None = None) -> None:
    """Put another program into the link; with `old_prog_fd` only if that one is there."""
    flags = 0 if old_prog_fd is None else _REPLACE
    bpf(Command.LINK_UPDATE, bytearray(struct.pack("=IIII", fd, prog_fd, flags, old_prog_fd or 0)))


def owner(ifindex: int) -> Owner | None:
    """The XDP program that sits on an interface of this network namespace, attached by whomever; None: nobody's."""
    attached = _ask(ifindex)
    mode = _ATTACHED.get(attached.get(_IFLA_XDP_ATTACHED, b"\0")[0], "")
    if not mode:
        return None
    prog_id = struct.unpack("=I", attached.get(_IFLA_XDP_PROG_ID, bytes(4)))[0]
    if not prog_id:  # both a native and a generic program: only their own attributes have ids
        prog_id = next((struct.unpack("=I", v)[0] for k, v in sorted(attached.items()) if k > _IFLA_XDP_PROG_ID and len(v) == 4), 0)
    try:
        fd = programs.open_id(prog_id)
    except BpfError:  # gone since
        return Owner(prog_id, "", mode)
    try:
        return Owner(prog_id, programs.info(fd).name, mode)
    finally:
        os.close(fd)


def _ask(ifindex: int) -> dict[int, bytes]:
    """The attributes in IFLA_XDP of an interface."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as ask:
        body = struct.pack("=BxHiII", 0, 0, ifindex, 0, 0)
        ask.send(struct.pack("=IHHII", 16 + len(body), _RTM_GETLINK, _NLM_F_REQUEST, 1, 0) + body)
        answer = ask.recv(1 << 16)
    kind = struct.unpack_from("=H", answer, 4)[0]
    if kind == _NLMSG_ERROR:
        number = -struct.unpack_from("=i", answer, 16)[0]
        raise BpfError(number, f"interface {ifindex}: {os.strerror(number).lower()}")
    if kind != _RTM_NEWLINK:
        return {}
    return _attributes(_attributes(answer[32 : struct.unpack_from("=I", answer)[0]]).get(_IFLA_XDP, b""))


def _attributes(data: bytes) -> dict[int, bytes]:
    result, at = {}, 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        result[kind & _NLA_TYPE] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return result
