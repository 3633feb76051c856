"""The types of parameters, keys and values: one place that knows text, bytes and C.

A value's canonical form is JSON's: an int, or a str in its one normal spelling, or a dict for a record.
`parse` takes what a person wrote, `encode`/`decode` go to and from the bytes that C sees on this machine.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

PROTOCOLS = {"icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "sctp": 132}
_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}
_DURATION = re.compile(r"([0-9]+)(ns|us|ms|s|m|h|d)\Z")
_UNIT = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}


class Type(Protocol):
    """How one kind of value is written, stored and seen from C."""

    @property
    def spelling(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def align(self) -> int: ...
    @property
    def c(self) -> str: ...

    def parse(self, value: Any) -> Any:
        """What a person wrote, as canonical value; ValueError says what was wanted."""

    def encode(self, value: Any) -> bytes:
        """The bytes that C sees, `size` of them."""

    def decode(self, data: bytes) -> Any:
        """The canonical value of `size` bytes."""


@dataclass(frozen=True, slots=True)
class Integer:
    """An unsigned integer; `big` for network byte order."""

    spelling: str
    size: int
    c: str
    big: bool = False

    @property
    def align(self) -> int:
        return self.size

    def parse(self, value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"0|[1-9][0-9]*", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 8 * self.size:
            raise ValueError(f"a whole number from 0 to {(1 << 8 * self.size) - 1}")
        return value

    def encode(self, value: Any) -> bytes:
        return int(value).to_bytes(self.size, "big" if self.big else _NATIVE)

    def decode(self, data: bytes) -> int:
        return int.from_bytes(data, "big" if self.big else _NATIVE)


_NATIVE: Literal["little", "big"] = "little" if struct.pack("=H", 1)[0] else "big"


@dataclass(frozen=True, slots=True)
class Boolean:
    spelling: str = "bool"
    size: int = 1
    align: int = 1
    c: str = "u8"

    def parse(self, value: Any) -> bool:
        if value in (True, "true"):
            return True
        if value in (False, "false"):
            return False
        raise ValueError("true or false")

    def encode(self, value: Any) -> bytes:
        return b"\1" if value else b"\0"

    def decode(self, data: bytes) -> bool:
        return data[0] != 0


@dataclass(frozen=True, slots=True)
class Enumeration:
    """`enum[a,b,c]`: a, b, c are 0, 1, 2; in C an u32 and the names in capitals."""

    spelling: str
    names: tuple[str, ...]
    size: int = 4
    align: int = 4
    c: str = "u32"

    def parse(self, value: Any) -> str:
        if value not in self.names:
            raise ValueError("one of " + ", ".join(self.names))
        return str(value)

    def encode(self, value: Any) -> bytes:
        return struct.pack("=I", self.names.index(value))

    def decode(self, data: bytes) -> str:
        number = struct.unpack("=I", data)[0]
        return self.names[number] if number < len(self.names) else str(number)


@dataclass(frozen=True, slots=True)
class Protocol_:
    spelling: str = "proto"
    size: int = 1
    align: int = 1
    c: str = "u8"

    def parse(self, value: Any) -> str:
        if isinstance(value, str) and value in PROTOCOLS:
            return value
        if isinstance(value, str) and re.fullmatch(r"0|[1-9][0-9]{0,2}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
            raise ValueError("an IP protocol: " + ", ".join(PROTOCOLS) + " or 0 to 255")
        return _PROTOCOL_NAMES.get(value, str(value))

    def encode(self, value: Any) -> bytes:
        return bytes([PROTOCOLS[value] if value in PROTOCOLS else int(value)])

    def decode(self, data: bytes) -> str:
        return _PROTOCOL_NAMES.get(data[0], str(data[0]))


@dataclass(frozen=True, slots=True)
class Duration:
    """Written 30s, 5m, 250ms; in C nanoseconds."""

    spelling: str = "duration"
    size: int = 8
    align: int = 8
    c: str = "u64"

    def parse(self, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63:
            return value
        match = _DURATION.match(value) if isinstance(value, str) else None
        if not match or int(match[1]) * _UNIT[match[2]] >= 1 << 63:
            raise ValueError("a duration such as 30s, 5m or 250ms")
        return int(match[1]) * _UNIT[match[2]]

    def encode(self, value: Any) -> bytes:
        return struct.pack("=Q", value)

    def decode(self, data: bytes) -> int:
        return int(struct.unpack("=Q", data)[0])


def ip_bytes(text: str) -> bytes:
    """16 bytes; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2)."""
    address = ipaddress.ip_address(text)
    return address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed


def ip_text(data: bytes) -> str:
    """The address in 16 bytes, in its normal spelling."""
    if data[:12] == b"\0" * 10 + b"\xff\xff":
        return str(ipaddress.IPv4Address(data[12:]))
    return str(ipaddress.IPv6Address(data))


@dataclass(frozen=True, slots=True)
class Ip:
    spelling: str = "ip"
    size: int = 16
    align: int = 8
    c: str = "struct ip_addr"

    def parse(self, value: Any) -> str:
        try:
            address = ipaddress.ip_address(value if isinstance(value, str) else "")
            if getattr(address, "scope_id", None):
                raise ValueError
            if address.version == 6 and address.ipv4_mapped:
                raise ValueError
        except ValueError:
            raise ValueError("an IPv4 or IPv6 address") from None
        return str(address)

    def encode(self, value: Any) -> bytes:
        return ip_bytes(value)

    def decode(self, data: bytes) -> str:
        return ip_text(data)


@dataclass(frozen=True, slots=True)
class Prefix:
    """An address with a prefix length: the key of `prefix` tables (struct bpf_lpm_trie_key: length over 128 bits, 16 bytes)."""

    spelling: str = "prefix"
    size: int = 20
    align: int = 4
    c: str = "struct ip_prefix"

    def parse(self, value: Any) -> str:
        try:
            scoped = not isinstance(value, str) or "%" in value  # fe80::1%eth0 names a link of one host
            network = ipaddress.ip_network("" if scoped else value, strict=True)
            if network.version == 6 and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
                raise ValueError
        except ValueError as error:
            hint = " without host bits" if "host bits" in str(error) else ""
            raise ValueError(f"an IPv4 or IPv6 prefix{hint}, such as 192.0.2.0/24") from None
        return str(network)

    def encode(self, value: Any) -> bytes:
        network = ipaddress.ip_network(value)
        length = network.prefixlen + (96 if network.version == 4 else 0)
        return struct.pack("=I", length) + ip_bytes(str(network.network_address))

    def decode(self, data: bytes) -> str:
        length = struct.unpack("=I", data[:4])[0]
        address = ip_text(data[4:])
        return f"{address}/{length if ':' in address else length - 96}"


@dataclass(frozen=True, slots=True)
class Mac:
    spelling: str = "mac"
    size: int = 6
    align: int = 2
    c: str = "struct mac_addr"

    def parse(self, value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", value):
            raise ValueError("a MAC address such as 02:00:00:00:00:01")
        return value.lower()

    def encode(self, value: Any) -> bytes:
        return bytes.fromhex(value.replace(":", ""))

    def decode(self, data: bytes) -> str:
        return data.hex(":")


@dataclass(frozen=True, slots=True)
class Flow:
    """A 5-tuple: `tcp 192.0.2.1:4000 > 198.51.100.7:80`, IPv6 in brackets."""

    spelling: str = "flow"
    size: int = 40
    align: int = 8
    c: str = "struct flow"

    def parse(self, value: Any) -> str:
        match = re.fullmatch(r"(\S+) (\S+):([0-9]+) > (\S+):([0-9]+)", value if isinstance(value, str) else "")
        try:
            if not match:
                raise ValueError
            proto = Protocol_().parse(match[1])
            ends = []
            for address, port in ((match[2], match[3]), (match[4], match[5])):
                number = Integer("be16", 2, "be16").parse(port)
                text = Ip().parse(address[1:-1] if address.startswith("[") and address.endswith("]") else address)
                ends.append(f"[{text}]:{number}" if ":" in text else f"{text}:{number}")
        except ValueError:
            raise ValueError("a flow such as 'tcp 192.0.2.1:4000 > 198.51.100.7:80', IPv6 in brackets") from None
        return f"{proto} {ends[0]} > {ends[1]}"

    def encode(self, value: Any) -> bytes:
        match = re.fullmatch(r"(\S+) \[?([^\]\s]+?)\]?:([0-9]+) > \[?([^\]\s]+?)\]?:([0-9]+)", value)
        if not match:
            raise ValueError("a flow in its normal spelling")
        ports = struct.pack("!HH", int(match[3]), int(match[5]))
        return ip_bytes(match[2]) + ip_bytes(match[4]) + ports + Protocol_().encode(match[1]) + b"\0\0\0"

    def decode(self, data: bytes) -> str:
        ends = []
        sport, dport = struct.unpack("!HH", data[32:36])
        for address, port in ((data[:16], sport), (data[16:32], dport)):
            text = ip_text(address)
            ends.append(f"[{text}]:{port}" if ":" in text else f"{text}:{port}")
        return f"{Protocol_().decode(data[36:37])} {ends[0]} > {ends[1]}"


@dataclass(frozen=True, slots=True)
class Bytes:
    """`bytes[n]`: n raw bytes, written as hex."""

    spelling: str
    size: int
    align: int = 1
    c: str = "u8"

    def parse(self, value: Any) -> str:
        if not isinstance(value, str) or len(value) != 2 * self.size or not re.fullmatch(r"[0-9a-fA-F]+", value):
            raise ValueError(f"{self.size} bytes in hex")
        return value.lower()

    def encode(self, value: Any) -> bytes:
        return bytes.fromhex(value)

    def decode(self, data: bytes) -> str:
        return data.hex()


@dataclass(frozen=True, slots=True)
class Record:
    """Named fields, laid out as C lays out a struct; padding is zero, so that a record can be a hash key."""

    fields: tuple[tuple[str, Type], ...]
    spelling: str = "record"
    c: str = "struct"

    @property
    def align(self) -> int:
        return max((t.align for _, t in self.fields), default=1)

    def offsets(self) -> tuple[int, ...]:
        """Byte offset of each field."""
        at, result = 0, []
        for _, kind in self.fields:
            at = -(-at // kind.align) * kind.align
            result.append(at)
            at += kind.size
        return tuple(result)

    @property
    def size(self) -> int:
        end = self.offsets()[-1] + self.fields[-1][1].size
        return -(-end // self.align) * self.align

    def parse(self, value: Any) -> dict[str, Any]:
        names = [name for name, _ in self.fields]
        if not isinstance(value, Mapping) or set(value) - set(names):
            raise ValueError("a record of " + ", ".join(names))
        result = {}
        for name, kind in self.fields:
            if name not in value:
                raise ValueError(f"a record of {', '.join(names)}: '{name}' is missing")
            try:
                result[name] = kind.parse(value[name])
            except ValueError as error:
                raise ValueError(f"'{name}': {error}") from None
        return result

    def encode(self, value: Any) -> bytes:
        data = bytearray(self.size)
        for (name, kind), at in zip(self.fields, self.offsets(), strict=True):
            data[at : at + kind.size] = kind.encode(value[name])
        return bytes(data)

    def decode(self, data: bytes) -> dict[str, Any]:
        return {name: kind.decode(data[at : at + kind.size]) for (name, kind), at in zip(self.fields, self.offsets(), strict=True)}


SCALARS: dict[str, Type] = {
    t.spelling: t
    for t in (
        Integer("u8", 1, "u8"), Integer("u16", 2, "u16"), Integer("u32", 4, "u32"), Integer("u64", 8, "u64"),
        Integer("be16", 2, "be16", big=True), Integer("be32", 4, "be32", big=True), Integer("port", 2, "be16", big=True),
        Boolean(), Protocol_(), Duration(), Ip(), Prefix(), Mac(), Flow(),
    )
}  # fmt: skip


def type_of(spelling: Any) -> Type:
    """The type that is spelled so: a name, `enum[a,b]`, `bytes[n]`, or {field: spelling}; ValueError when none is.

    A record may come as a list of (field, spelling) too: JSON keeps the order of a list, and the order is the layout.
    """
    if isinstance(spelling, list | tuple):
        spelling = {str(name): kind for name, kind in spelling}
    if isinstance(spelling, Mapping):
        if not spelling:
            raise ValueError("a record needs a field")
        return Record(tuple((str(name), type_of(kind)) for name, kind in spelling.items()))
    if spelling in SCALARS:
        return SCALARS[spelling]
    match = re.fullmatch(r"enum\[([a-z][a-z0-9_]*(?:, ?[a-z][a-z0-9_]*)*)\]", spelling if isinstance(spelling, str) else "")
    if match:
        names = tuple(name.strip() for name in match[1].split(","))
        if len(set(names)) != len(names):
            raise ValueError("an enum's names differ from each other")
        return Enumeration("enum[" + ",".join(names) + "]", names)
    match = re.fullmatch(r"bytes\[([1-9][0-9]{0,2})\]", spelling if isinstance(spelling, str) else "")
    if match:
        return Bytes(f"bytes[{match[1]}]", int(match[1]))
    raise ValueError("a type: " + ", ".join(SCALARS) + ", enum[...], bytes[n]")
