"""Interfaces of a network namespace, asked by raw rtnetlink: small, quick, and needs no package on the host."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ebpfnf.errors import AgentError, PrivilegeError

_CLONE_NEWNET = 0x40000000
_RTM_NEWLINK, _RTM_GETLINK = 16, 18
_NLM_F_REQUEST, _NLM_F_DUMP = 1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_IFF_UP = 1
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_XDP = 3, 4, 18, 43
_IFLA_INFO_KIND = 1
_IFLA_XDP_ATTACHED, _IFLA_XDP_PROG_ID = 2, 4
_NESTED = 0x8000
_IFF_RUNNING = 0x40
_NETLINK_GENERIC = 16  # linux/netlink.h
_GENL_ID_CTRL, _CTRL_GETFAMILY, _CTRL_FAMILY_ID, _CTRL_FAMILY_NAME = 16, 3, 1, 2
_NETDEV_DEV_GET, _NETDEV_IFINDEX, _NETDEV_XDP_FEATURES = 1, 1, 3
_XDP_ACT_NDO_XMIT = 4
_MODES = {0: "", 1: "native", 2: "generic", 3: "offload", 4: "several"}


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface as the kernel tells it; `program` is the id of the XDP program on it, 0 for none."""

    name: str
    ifindex: int
    mtu: int
    kind: str  # veth, tun, bridge, ...; empty for hardware
    up: bool
    program: int = 0
    mode: str = ""  # native | generic | offload
    carrier: bool = True
    takes: bool = True  # frames that XDP redirects to it: what it says, or true where the kernel does not tell


def enter(netns: str) -> None:
    """Move this process into the named namespace. Unlike `ip netns exec` it keeps the mounts, so bpffs stays in sight."""
    path = netns if "/" in netns else f"/run/netns/{netns}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise AgentError(f"no network namespace '{netns}'", cure="'ip netns list' shows those that exist") from None
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(fd, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise PrivilegeError(f"can't enter network namespace '{netns}': {os.strerror(number)}", cure="run as root")
    finally:
        os.close(fd)


def interfaces() -> dict[str, Interface]:
    """All interfaces of the namespace that this process is in, by name."""
    deaf = _deaf()
    with _channel(socket.NETLINK_ROUTE) as channel:
        found = [_interface(body) for kind, body in _dump(channel, _RTM_GETLINK, bytes(16)) if kind == _RTM_NEWLINK]
    return {each.name: dataclasses.replace(each, takes=each.ifindex not in deaf) for each in found}


def _deaf() -> frozenset[int]:
    """Interfaces whose driver, as it is now, has no way for frames that XDP redirects; none where the kernel (before 6.3) can't say."""
    with _channel(_NETLINK_GENERIC) as channel:
        name = b"netdev\0"
        ask = struct.pack("=BBxxHH", _CTRL_GETFAMILY, 1, 4 + len(name), _CTRL_FAMILY_NAME) + name.ljust(8, b"\0")
        channel.sendto(struct.pack("=IHHII", 16 + len(ask), _GENL_ID_CTRL, _NLM_F_REQUEST, 1, 0) + ask, (0, 0))
        kind, body = next(_messages(channel.recv(1 << 16)))
        if kind != _GENL_ID_CTRL:
            return frozenset()
        (family,) = struct.unpack("=H", _attributes(body[4:])[_CTRL_FAMILY_ID])
        told = [_attributes(body[4:]) for kind, body in _dump(channel, family, struct.pack("=BBxx", _NETDEV_DEV_GET, 1)) if kind == family]
    return frozenset(
        struct.unpack("=I", each[_NETDEV_IFINDEX])[0]
        for each in told
        if not struct.unpack("=Q", each[_NETDEV_XDP_FEATURES])[0] & _XDP_ACT_NDO_XMIT
    )


def _channel(protocol: int) -> socket.socket:
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    channel.settimeout(5)
    return channel


def _dump(channel: socket.socket, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    channel.sendto(struct.pack("=IHHII", 16 + len(body), kind, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0) + body, (0, 0))
    while True:
        for answer, content in _messages(channel.recv(1 << 16)):
            if answer == _NLMSG_DONE:
                return
            if answer == _NLMSG_ERROR:
                number = -struct.unpack_from("=i", content)[0]
                raise AgentError(f"the kernel does not list its interfaces: {os.strerror(number)}")
            yield answer, content


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        yield kind, data[at + 16 : at + length]
        at += -(-length // 4) * 4


def _attributes(data: bytes) -> dict[int, bytes]:
    at, found = 0, {}
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[kind & ~_NESTED] = data[at + 4 : at + length]
        at += -(-length // 4) * 4
    return found


def _interface(body: bytes) -> Interface:
    ifindex, flags = struct.unpack_from("=iI", body, 4)
    attributes = _attributes(body[16:])
    info, xdp = _attributes(attributes.get(_IFLA_LINKINFO, b"")), _attributes(attributes.get(_IFLA_XDP, b""))
    return Interface(
        name=attributes[_IFLA_IFNAME].rstrip(b"\0").decode(),
        ifindex=ifindex,
        mtu=struct.unpack("=I", attributes.get(_IFLA_MTU, bytes(4)))[0],
        kind=info.get(_IFLA_INFO_KIND, b"").rstrip(b"\0").decode(),
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_RUNNING),
        program=struct.unpack("=I", xdp.get(_IFLA_XDP_PROG_ID, bytes(4)))[0],
        mode=_MODES.get(xdp.get(_IFLA_XDP_ATTACHED, b"\0")[0], ""),
    )
