"""Random frames for differential tests: valid and malformed, everything that the parser knows and much that it doesn't.

A `Frames` draws addresses and ports from small pools that a test fills with what its rules name, so that every rule is hit and missed.
The same seed makes the same frames.
"""

from __future__ import annotations

import ipaddress
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.models.packet import ones_sum

TCP, UDP, ICMP, ICMPV6, SCTP = 6, 17, 1, 58, 132
_V4 = ("192.0.2.9", "203.0.113.5", "198.51.100.7", "10.1.0.11", "127.0.0.1", "224.0.0.5", "255.255.255.255", "0.0.0.0")
_V6 = ("2001:db8::9", "2001:db8:bad::5", "2001:db8::7", "2001:db8:1::11", "::1", "ff02::1", "::", "::ffff:192.0.2.9", "fe80::1")
_MACS = ("02:00:00:00:00:01", "02:00:00:00:00:bd", "ff:ff:ff:ff:ff:ff")
_PAYLOADS = (b"", b"", b"x", b"x", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)), bytes(1440), bytes(1472))


@dataclass(slots=True)
class Frames:
    """A source of frames."""

    random: random.Random
    v4: Sequence[str] = _V4
    v6: Sequence[str] = _V6
    macs: Sequence[str] = _MACS
    ports: Sequence[int] = (0, 53, 80, 4000, 8080, 65535)
    payloads: Sequence[bytes] = _PAYLOADS
    broken: float = 0.25  # the share of frames that are spoilt somewhere
    again: float = 0.1  # the share of frames that came before
    varied: float = 0  # of these the share that come in another VLAN, or longer: to most mNFs the same
    protocols: Sequence[int] = (TCP, TCP, TCP, UDP, UDP, ICMP, ICMPV6, SCTP, 50, 59)
    _sent: list[bytes] = field(default_factory=list)

    def frame(self) -> bytes:
        """The next frame, at least 14 bytes: less no driver delivers."""
        r = self.random
        kind = r.random()
        if self._sent and kind < self.again:
            data = r.choice(self._sent)  # again, and maybe spoilt now
            if self.varied and r.random() < self.varied:
                tag = struct.pack("!H", r.choice((5, 100, 4095)))
                data = data[:14] + tag + data[16:] if data[12:13] == b"\x81" else data + bytes(30)
        elif kind < self.again + 0.06:
            data = self._other()
        else:
            data = self._ethernet(*self._ip())
        self._sent = [*self._sent[-50:], data]
        if r.random() < self.broken:
            data = self._spoil(data)
        return data[:1800].ljust(14, b"\0")

    # ------------------------------------------------------------ layers

    def _ethernet(self, eth_type: int, body: bytes) -> bytes:
        r = self.random
        tags = b""
        for _ in range(r.choice((0, 0, 0, 1, 1, 2, 3))):
            tags += struct.pack("!HH", r.choice((0x8100, 0x88A8)), r.choice((0, 5, 100, 4095)) | r.choice((0, 0, 0xE000)))
        frame = self._mac() + self._mac() + tags + struct.pack("!H", eth_type) + body
        return frame.ljust(r.choice((0, 60, 60, 200)), b"\xee")

    def _mac(self) -> bytes:
        return bytes.fromhex(self.random.choice(self.macs).replace(":", ""))

    def _other(self) -> bytes:
        r = self.random
        eth_type = r.choice((0x0806, 0x88CC, 0x88B5, 0x0042, 0x86DC, r.randrange(65536)))
        return self._ethernet(eth_type, r.randbytes(r.choice((0, 1, 28, 46))))

    def _ip(self) -> tuple[int, bytes]:
        return self._ipv4() if self.random.random() < 0.55 else self._ipv6()

    def _ipv4(self) -> tuple[int, bytes]:
        r = self.random
        proto = r.choice(self.protocols)
        src, dst = (ipaddress.IPv4Address(r.choice(self.v4)).packed for _ in range(2))
        options = r.choice((b"", b"", b"", b"\x01" * 4, b"\x94\x04\0\0", r.randbytes(20), r.randbytes(40)))
        body = self._l4(proto, src + dst)
        fragment = r.choice((0, 0x4000)) if r.random() < 0.9 else r.choice((0x2000, 0x2005, 185))
        size = 20 + len(options)
        head = struct.pack("!BBHHH", 0x40 | size // 4, r.choice((0, 0xB8, 0xFF)), size + len(body), r.randrange(65536), fragment)
        head += struct.pack("!BBH", r.choice((0, 1, 2, 64, 255)), proto, 0)
        header = bytearray(head + src + dst + options)
        header[10:12] = r.choice((self._checksum(header),) * 12 + (b"\0\0", b"\xff\xff", r.randbytes(2)))
        return 0x0800, bytes(header) + body

    def _ipv6(self) -> tuple[int, bytes]:
        r = self.random
        proto = r.choice(self.protocols)
        src, dst = (ipaddress.IPv6Address(r.choice(self.v6)).packed for _ in range(2))
        following, body = proto, self._l4(proto, src + dst)
        for _ in range(0 if r.random() < 0.6 else r.choice((1, 1, 2, 6, 7))):
            following, body = self._extension(following, body)
        class_and_label = 6 << 28 | r.choice((0, 0xB8, 0xFF)) << 20 | r.randrange(1 << 20)
        return 0x86DD, struct.pack("!IHBB", class_and_label, len(body), following, r.choice((0, 1, 2, 64, 255))) + src + dst + body

    def _extension(self, following: int, body: bytes) -> tuple[int, bytes]:
        r = self.random
        kind = r.choice((0, 43, 60, 51, 44))
        if kind == 44:
            return kind, struct.pack("!BBHI", following, 0, r.choice((0, 0, 1, 8, 0x100, 6)), r.randrange(1 << 32)) + body
        words = r.randrange(3)
        size = (words + 2) * 4 if kind == 51 else (words + 1) * 8
        return kind, bytes([following, words]) + r.randbytes(size - 2) + body

    def _l4(self, proto: int, addresses: bytes) -> bytes:
        r = self.random
        payload = r.choice(self.payloads)
        ports = struct.pack("!HH", r.choice(self.ports), r.choice(self.ports))
        if proto == TCP:
            options = r.choice((b"", b"", b"\x02\x04\x05\xb4", r.randbytes(12), r.randbytes(40)))
            flags = r.choice((0x02, 0x10, 0x12, 0x18, 0x11, 0x04, 0xFF, 0))
            numbers = struct.pack("!II", r.randrange(1 << 32), r.randrange(1 << 32))
            body = bytearray(ports + numbers + struct.pack("!BBHHH", 5 + len(options) // 4 << 4, flags, 1000, 0, 0) + options + payload)
            return self._sum(body, 16, proto, addresses)
        if proto == UDP:
            body = bytearray(ports + struct.pack("!HH", 8 + len(payload), 0) + payload)
            return bytes(body) if r.random() < 0.15 else self._sum(body, 6, proto, addresses)
        if proto in (ICMP, ICMPV6):
            kind = r.choice((0, 3, 8, 128, 129, 130, 133, 135, 137, 138, 143))
            body = bytearray(struct.pack("!BBHI", kind, 0, 0, r.randrange(1 << 32)) + payload)
            return self._sum(body, 2, proto, addresses if proto == ICMPV6 else b"")
        return payload

    def _sum(self, body: bytearray, at: int, proto: int, addresses: bytes) -> bytes:
        """The body with its checksum; now and then with another one."""
        pseudo = addresses + struct.pack("!HH", proto, len(body)) if addresses else b""
        body[at : at + 2] = self.random.choice((self._checksum(pseudo + body),) * 12 + (b"\0\0", b"\xff\xff", self.random.randbytes(2)))
        return bytes(body)

    @staticmethod
    def _checksum(data: bytes | bytearray) -> bytes:
        return (0xFFFF - ones_sum(data)).to_bytes(2, "big")

    # ------------------------------------------------------------ what goes wrong

    def _spoil(self, data: bytes) -> bytes:
        """Cut short, padded, or with bytes changed: lengths that lie, versions that aren't."""
        r, spoilt = self.random, bytearray(data)
        match r.randrange(4):
            case 0:
                return data[: r.randrange(len(data) + 1)]
            case 1:
                return data + r.randbytes(r.choice((1, 4, 20)))
            case 2:
                at = r.randrange(min(len(data), 60))
                spoilt[at] = r.choice((0, 1, 4, 0xFF, spoilt[at] ^ 1 << r.randrange(8)))
            case _:
                for _ in range(r.randrange(1, 4)):
                    spoilt[r.randrange(len(data))] = r.randrange(256)
        return bytes(spoilt)
