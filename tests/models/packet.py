"""A packet as a model sees it: bytes, what the parser found, get and set of header fields; checksums are mended at the end."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.models.parse import HAVE_ICMP, HAVE_IP, HAVE_L4, HAVE_TCP, HAVE_VLAN, Parsed

MASK64 = (1 << 64) - 1
_FACTOR = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class Flow:
    """The five-tuple; addresses of 16 bytes, ports in host order, zero where there is no L4."""

    saddr: bytes
    daddr: bytes
    sport: int
    dport: int
    proto: int

    def reverse(self) -> Flow:
        """The flow of the answers."""
        return Flow(self.daddr, self.saddr, self.dport, self.sport, self.proto)

    def hash(self) -> int:
        """flow_hash: a polynomial over the words of the addresses and one of ports and protocol, as they lie in memory, folded."""
        words = [int.from_bytes(half, sys.byteorder) for a in (self.saddr, self.daddr) for half in (a[:8], a[8:])]
        words.append(int.from_bytes(struct.pack("!HHB3x", self.sport, self.dport, self.proto), sys.byteorder))
        h = 0
        for word in words:
            h = h * _FACTOR + word & MASK64
        return ((h ^ h >> 32) * _FACTOR & MASK64) >> 32


@dataclass(frozen=True, slots=True)
class Hop:
    """Where the kernel's FIB sends a packet: MACs and the number of the port."""

    dst: bytes
    src: bytes
    port: int


FIB_NO_ROUTE = "no route"
FIB_KERNEL = "kernel"


@dataclass(slots=True)
class Packet:
    """One packet on its way; `data` changes, `original` doesn't."""

    data: bytearray
    parsed: Parsed
    now: int = 0
    fib: Callable[[bytes, int], Hop | str] = field(default=lambda _address, _length: FIB_KERNEL)
    original: bytes = b""
    touched: set[str] = field(default_factory=set)  # layers that a setter wrote: ip (IPv4's header), l4 (what its checksum covers)

    def __post_init__(self) -> None:
        self.original = bytes(self.data)

    @property
    def have(self) -> int:
        """HAVE_ bits."""
        return self.parsed.have

    @property
    def v4(self) -> bool:
        return self.parsed.ip_version == 4

    @property
    def flow(self) -> Flow:
        """As parsed, with what setters wrote since."""
        if not self.have & HAVE_IP:
            return Flow(bytes(16), bytes(16), 0, 0, 0)
        return Flow(self.get("ip.src"), self.get("ip.dst"), self.get("l4.sport"), self.get("l4.dport"), self.parsed.proto)

    @property
    def payload(self) -> bytes:
        """What stands behind the L4 header, without Ethernet padding."""
        return bytes(self.data[self.parsed.pl : self.parsed.pl + self.parsed.pl_len])

    def fib_lookup(self) -> Hop | str:
        """The kernel's route for the destination: a Hop, FIB_NO_ROUTE or FIB_KERNEL."""
        return self.fib(self.get("ip.dst"), self.get("ip.len"))

    # ------------------------------------------------------------ fields

    def _place(self, name: str) -> tuple[int, int] | None:
        """Offset and length of a field of whole bytes that is there."""
        p, layer, part = self.parsed, *name.split(".")
        if layer == "eth":
            return {"dst": (0, 6), "src": (6, 6)}[part]
        if layer == "ip" and p.have & HAVE_IP:
            places = {"src": (12, 4), "dst": (16, 4), "ttl": (8, 1)} if self.v4 else {"src": (8, 16), "dst": (24, 16), "ttl": (7, 1)}
            return (p.l3 + places[part][0], places[part][1])
        if layer == "l4" and p.have & HAVE_L4:
            return (p.l4 + {"sport": 0, "dport": 2}[part], 2)
        if layer == "tcp" and p.have & HAVE_TCP:
            at, length = {"seq": (4, 4), "ack": (8, 4), "flags": (13, 1)}[part]
            return (p.l4 + at, length)
        return None

    def get(self, name: str) -> Any:
        """The value of a header field; zero where it isn't there."""
        p = self.parsed
        if name == "eth.type":
            return p.eth_type
        if name == "vlan.id":
            return p.vlan_id if p.have & HAVE_VLAN else 0
        if name == "ip.version":
            return p.ip_version
        if name == "ip.proto":
            return p.proto
        if name == "ip.frag":
            return p.frag
        if name == "pkt.len":
            return len(self.data)
        if name == "ip.dscp":
            return self._traffic_class() >> 2
        if name in ("ip.len", "ip.csum"):
            if not p.have & HAVE_IP or (name == "ip.csum" and not self.v4):
                return 0
            at = p.l3 + (10 if name == "ip.csum" else 2 if self.v4 else 4)
            written = int.from_bytes(self.data[at : at + 2], "big")
            return written if self.v4 else written + 40
        place = self._place(name)
        address, mac = name in ("ip.src", "ip.dst"), name in ("eth.src", "eth.dst")
        if place is None:
            return bytes(16) if address else 0
        raw = bytes(self.data[place[0] : sum(place)])
        if address:
            return bytes(10) + b"\xff\xff" + raw if self.v4 else raw
        return raw if mac else int.from_bytes(raw, "big")

    def set(self, name: str, value: Any) -> None:
        """Write a field; without effect where it isn't there, or on an address of the other IP version. `finish` mends checksums."""
        p = self.parsed
        place = self._place(name) if name != "ip.dscp" else (p.l3, 2) if p.have & HAVE_IP else None
        if name == "ip.dscp" and place:
            value = int.from_bytes(self.data[p.l3 : p.l3 + 2], "big") & (0xFF03 if self.v4 else 0xF03F) | value << (2 if self.v4 else 6)
        if place is None or (name in ("ip.src", "ip.dst") and (value[:12] == bytes(10) + b"\xff\xff") != self.v4):
            return
        if isinstance(value, int):
            value = value.to_bytes(place[1], "big")
        self.data[place[0] : sum(place)] = value[-place[1] :]
        if name.startswith("ip.") and self.v4:
            self.touched.add("ip")
        if name in ("ip.src", "ip.dst", "l4.sport", "l4.dport"):
            self.touched.add("l4")

    def _traffic_class(self) -> int:
        p = self.parsed
        if not p.have & HAVE_IP:
            return 0
        if self.v4:
            return self.data[p.l3 + 1]
        return int.from_bytes(self.data[p.l3 : p.l3 + 2], "big") >> 4 & 0xFF

    # ------------------------------------------------------------ checksums

    def ip_checksum_ok(self) -> bool:
        """Whether the IPv4 header's checksum is right, what was set since counted in; IPv6 has none and is right."""
        p = self.parsed
        if not p.have & HAVE_IP or not self.v4:
            return True
        header = self.finish()[p.l3 : p.l3 + (self.data[p.l3] & 0xF) * 4]
        return ones_sum(header) == 0xFFFF

    def finish(self) -> bytes:
        """The bytes that leave: checksums follow what changed (RFC 1624), so a wrong one stays as wrong as it came."""
        data, p = bytearray(self.data), self.parsed
        if "ip" in self.touched:
            _mend(data, p.l3 + 10, self.original[p.l3 : p.l3 + 20], data[p.l3 : p.l3 + 20])
        at = {6: 16, 17: 6, 58: 2}.get(p.proto, 0)
        if "l4" not in self.touched or not p.have & (HAVE_L4 | HAVE_ICMP) or not at:
            return bytes(data)
        at += p.l4
        if p.proto == 17 and data[at : at + 2] == b"\0\0":
            return bytes(data)  # the sender made none (RFC 768, RFC 6935)
        covered = [slice(p.l3 + 12, p.l3 + 20) if self.v4 else slice(p.l3 + 8, p.l3 + 40)]
        if p.have & HAVE_L4:
            covered.append(slice(p.l4, p.l4 + 4))
        before, after = (b"".join(bytes(x[part]) for part in covered) for x in (self.original, data))
        _mend(data, at, before, after)
        if p.proto == 17 and data[at : at + 2] == b"\0\0":
            data[at : at + 2] = b"\xff\xff"
        return bytes(data)


def ones_sum(data: bytes | bytearray) -> int:
    """The ones' complement sum of 16-bit words (RFC 1071)."""
    total = sum(int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _mend(data: bytearray, at: int, before: bytes | bytearray, after: bytes | bytearray) -> None:
    """RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), over the words that changed; HC is where `data` says `at`. Never 0xffff."""
    total = ~int.from_bytes(data[at : at + 2], "big") & 0xFFFF
    for i in range(0, len(before), 2):
        old, new = (int.from_bytes(x[i : i + 2], "big") for x in (before, after))
        total += new - old
    data[at : at + 2] = (0xFFFF - ((total - 1) % 0xFFFF + 1)).to_bytes(2, "big")
