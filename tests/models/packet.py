"""A packet as a model sees it: bytes, what the parser found, get and set of header fields; checksums are mended at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.models.parse import HAVE_ICMP, HAVE_IP, HAVE_L4, HAVE_TCP, HAVE_UDP, HAVE_VLAN, Parsed

MASK64 = (1 << 64) - 1


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
        return self.fib(self.get("ip.dst"), len(self.data))

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
            return int.from_bytes(self.data[at : at + 2], "big")
        place = self._place(name)
        address, mac = name in ("ip.src", "ip.dst"), name in ("eth.src", "eth.dst")
        if place is None:
            return bytes(16) if address else 0
        raw = bytes(self.data[place[0] : sum(place)])
        if address:
            return bytes(10) + b"\xff\xff" + raw if self.v4 else raw
        return raw if mac else int.from_bytes(raw, "big")

    def set(self, name: str, value: Any) -> None:
        """Write a field; without effect where it isn't there. Its checksums are mended by `finish`."""
        if name == "ip.dscp":
            self._write_dscp(value)
            return
        place = self._place(name)
        if place is None:
            return
        if isinstance(value, int):
            value = value.to_bytes(place[1], "big")
        self.data[place[0] : sum(place)] = value[-place[1] :]

    def _traffic_class(self) -> int:
        p = self.parsed
        if not p.have & HAVE_IP:
            return 0
        if self.v4:
            return self.data[p.l3 + 1]
        return int.from_bytes(self.data[p.l3 : p.l3 + 2], "big") >> 4 & 0xFF

    def _write_dscp(self, value: int) -> None:
        p = self.parsed
        if not p.have & HAVE_IP:
            return
        both = value << 2 | self._traffic_class() & 3
        if self.v4:
            self.data[p.l3 + 1] = both
            return
        first = self.data[p.l3] & 0xF0 | both >> 4
        self.data[p.l3 : p.l3 + 2] = bytes([first, (both & 0xF) << 4 | self.data[p.l3 + 1] & 0xF])

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
        if not p.have & HAVE_IP:
            return bytes(data)
        if self.v4:
            _mend(data, p.l3 + 10, self.original[p.l3 : p.l3 + 20], data[p.l3 : p.l3 + 20])
        addresses = slice(p.l3 + 12, p.l3 + 20) if self.v4 else slice(p.l3 + 8, p.l3 + 40)
        covered = [addresses]
        if p.have & HAVE_L4:
            covered.append(slice(p.l4, p.l4 + 4))
        before, after = (b"".join(bytes(x[part]) for part in covered) for x in (self.original, data))
        if p.have & HAVE_TCP:
            _mend(data, p.l4 + 16, before, after)
        elif p.have & HAVE_UDP:
            udp = p.l4 + 6
            if data[udp : udp + 2] != b"\0\0" or not self.v4:
                changed = before != after
                _mend(data, udp, before, after)
                if changed and data[udp : udp + 2] == b"\0\0":
                    data[udp : udp + 2] = b"\xff\xff"
        elif p.have & HAVE_ICMP and p.proto == 58:
            _mend(data, p.l4 + 2, before, after)
        return bytes(data)


def ones_sum(data: bytes | bytearray) -> int:
    """The ones' complement sum of 16-bit words (RFC 1071)."""
    total = sum(int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _mend(data: bytearray, at: int, before: bytes | bytearray, after: bytes | bytearray) -> None:
    """RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), over the words that changed; HC is where `data` says `at`."""
    total = ~int.from_bytes(data[at : at + 2], "big") & 0xFFFF
    changed = False
    for i in range(0, len(before), 2):
        old, new = (int.from_bytes(x[i : i + 2], "big") for x in (before, after))
        if old != new:
            total += (~old & 0xFFFF) + new
            changed = True
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    if changed:
        data[at : at + 2] = (~total & 0xFFFF).to_bytes(2, "big")
