"""Frames with any payload, as packet text can say them, and connections cut into segments."""

from __future__ import annotations

import struct
from functools import cache

from ebpfnf.packets import build

CLIENT, SERVER = "192.0.2.9:4000", "198.51.100.7:80"


def frame(payload: bytes, proto: str = "tcp", ends: tuple[str, str] = (CLIENT, SERVER), options: str = "") -> bytes:
    """A frame that carries the payload."""
    escaped = "".join(f"\\x{byte:02x}" for byte in payload)
    return build(f"{proto} {ends[0]} > {ends[1]} payload '{escaped}' {options}")


def _sum(data: bytes, total: int = 0) -> int:
    data += bytes(len(data) % 2)
    total += sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _tcp_sum(packet: bytes) -> int:
    """The sum over an IPv4 packet's pseudo header and TCP; 0xffff over a right one."""
    end = 14 + int.from_bytes(packet[16:18], "big")
    return _sum(packet[26:end], 6 + end - 34)


def tcp_checksum_right(packet: bytes) -> bool:
    return _tcp_sum(packet) == 0xFFFF


def mended(packet: bytes) -> bytes:
    """With right checksums, where it is long enough for IPv4 and TCP without options."""
    if len(packet) < 54 or packet[12:14] != b"\x08\0" or packet[23] != 6:
        return packet
    data = bytearray(packet)
    data[24:26] = data[50:52] = b"\0\0"
    struct.pack_into("!H", data, 24, ~_sum(bytes(data[14:34])) & 0xFFFF)
    struct.pack_into("!H", data, 50, ~_tcp_sum(bytes(data)) & 0xFFFF)
    return bytes(data)


@cache
def _head(client: str, server: str, flags: str) -> bytes:
    return build(f"tcp {client} > {server} flags {flags} ack 5001")[:54]


def _filled(head: bytes, seq: int, payload: bytes) -> bytes:
    """A TCP packet over IPv4 with this payload: packet text takes a millisecond, and here are thousands."""
    data = bytearray(head + payload)
    struct.pack_into("!H", data, 16, len(data) - 14)
    struct.pack_into("!I", data, 38, seq)
    return mended(bytes(data)).ljust(60, b"\0")


class Connection:
    """A client's side of a connection; sequence numbers count from `start`."""

    def __init__(self, start: int = 1000, client: str = CLIENT, server: str = SERVER) -> None:
        self.start, self.client, self.server = start, client, server

    def syn(self) -> bytes:
        return build(f"tcp {self.client} > {self.server} flags S seq {self.start}")

    def answer(self, scale: int = 0, window: int = 65535) -> bytes:
        """The server's SYN and ACK, with a window scale option."""
        made = build(f"tcp {self.server} > {self.client} flags SA seq 5000 ack {(self.start + 1) % 2**32} size 62")
        options = bytes([3, 3, scale, 1, 1, 1, 1, 0])
        data = bytearray(made[:54] + options)
        struct.pack_into("!H", data, 16, len(data) - 14)
        data[46] = 7 << 4
        struct.pack_into("!H", data, 48, window)
        struct.pack_into("!H", data, 50, 0)
        struct.pack_into("!H", data, 50, ~_tcp_sum(bytes(data)) & 0xFFFF)
        return bytes(data)

    def data(self, offset: int, payload: bytes, flags: str = "PA") -> bytes:
        """Bytes at that offset of the stream."""
        head = _head(self.client, self.server, flags)
        return _filled(head, (self.start + 1 + offset) % 2**32, payload)

    def ack(self, offset: int, payload: bytes = b"") -> bytes:
        """The server has everything before that offset."""
        ends = (self.server, self.client)
        return frame(payload, ends=ends, options=f"flags A seq 5001 ack {(self.start + 1 + offset) % 2**32}")

    def cut(self, stream: bytes, size: int) -> list[bytes]:
        """The stream in segments of that size."""
        return [self.data(at, stream[at : at + size]) for at in range(0, len(stream), size)]
