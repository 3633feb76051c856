"""Captures made byte by byte, right and wrong, in both byte orders."""

from __future__ import annotations

import struct
from dataclasses import dataclass

PCAP_MAGIC = {"us": 0xA1B2C3D4, "ns": 0xA1B23C4D}


def pcap_header(order: str = "<", unit: str = "us", link: int = 1, version: tuple[int, int] = (2, 4), snaplen: int = 65535) -> bytes:
    return struct.pack(order + "IHHiIII", PCAP_MAGIC[unit], *version, 0, 0, snaplen, link)


def record(data: bytes, seconds: int = 1, fraction: int = 0, *, order: str = "<", length: int | None = None) -> bytes:
    return struct.pack(order + "IIII", seconds, fraction, len(data), len(data) if length is None else length) + data


@dataclass(frozen=True, slots=True)
class Blocks:
    """Makes the blocks of a section in one byte order."""

    order: str = "<"

    def block(self, kind: int, body: bytes, length: int | None = None, trailer: int | None = None) -> bytes:
        body += bytes(-len(body) % 4)
        size = len(body) + 12 if length is None else length
        return struct.pack(self.order + "II", kind, size) + body + struct.pack(self.order + "I", size if trailer is None else trailer)

    def section(self, version: tuple[int, int] = (1, 0), options: bytes = b"") -> bytes:
        return self.block(0x0A0D0D0A, struct.pack(self.order + "IHHq", 0x1A2B3C4D, *version, -1) + options)

    def option(self, code: int, value: bytes) -> bytes:
        return struct.pack(self.order + "HH", code, len(value)) + value + bytes(-len(value) % 4)

    def interface(self, *options: bytes, link: int = 1, snaplen: int = 0) -> bytes:
        return self.block(1, struct.pack(self.order + "HHI", link, 0, snaplen) + b"".join(options))

    def packet(self, data: bytes, ticks: int = 0, *, interface: int = 0, length: int | None = None, options: bytes = b"") -> bytes:
        length = len(data) if length is None else length
        head = struct.pack(self.order + "5I", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(data), length)
        return self.block(6, head + data + bytes(-len(data) % 4) + options)

    def old_packet(self, data: bytes, ticks: int = 0, interface: int = 0) -> bytes:
        return self.block(2, struct.pack(self.order + "HH4I", interface, 7, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data)) + data)

    def simple(self, data: bytes, length: int) -> bytes:
        return self.block(3, struct.pack(self.order + "I", length) + data)
