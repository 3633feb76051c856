"""Frames made by hand, and put on a wire past the sender's own stack: what an honest socket would not send."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable

from ebpfnf.lab.lab import Lab

SYN, PUSH, ACK = 0x02, 0x08, 0x10


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1])) + (data[-1] << 8 if len(data) & 1 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip_frame(eth_src: str, eth_dst: str, src: str, dst: str, proto: int, segment: bytes, checksum_at: int) -> bytes:
    """An Ethernet frame with an IP packet around `segment`, whose checksum field (two zero bytes at `checksum_at`) is filled in."""
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    pseudo = a.packed + b.packed + struct.pack("!II", proto, len(segment))  # IPv4's sums to the same
    value = checksum(pseudo + segment) or 0xFFFF
    segment = segment[:checksum_at] + struct.pack("!H", value) + segment[checksum_at + 2 :]
    if a.version == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, proto, 0) + a.packed + b.packed
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    else:
        head = struct.pack("!IHBB", 6 << 28, len(segment), proto, 64) + a.packed + b.packed
    eth = bytes.fromhex((eth_dst + eth_src).replace(":", "")) + struct.pack("!H", 0x0800 if a.version == 4 else 0x86DD)
    return eth + head + segment


def tcp_frame(
    eth_src: str, eth_dst: str, src: str, sport: int, dst: str, dport: int, *, flags: int = SYN, seq: int = 1, payload: bytes = b""
) -> bytes:
    """A frame with one TCP segment."""
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, 0, 5 << 4, flags, 65535, 0, 0)
    return ip_frame(eth_src, eth_dst, src, dst, socket.IPPROTO_TCP, head + payload, 16)


def udp_frame(eth_src: str, eth_dst: str, src: str, sport: int, dst: str, dport: int, payload: bytes) -> bytes:
    """A frame with one UDP datagram."""
    head = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
    return ip_frame(eth_src, eth_dst, src, dst, socket.IPPROTO_UDP, head + payload, 6)


def send(lab: Lab, host: str, interface: str, frames: Iterable[bytes]) -> int:
    """Puts frames on the wire as they are; how many."""
    with lab.enter(host), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.bind((interface, 0))
        return sum(raw.send(frame) > 0 for frame in frames)
