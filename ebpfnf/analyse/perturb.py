"""Header fields of a frame whose parse is known: what they hold, and the same frame with another value in one of them.

A change keeps the IPv4 checksum as right or wrong as it was; checksums of L4 are no field and are left alone.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping, Sequence
from typing import Any

IP, L4, TCP, UDP, ICMP = 4, 8, 16, 32, 64  # HAVE_ bits of types.h
Parsed = Mapping[str, Any]  # metadata that the parser writes
_PROTOCOLS = (50, 132, 253)  # of which the framework reads nothing
_TYPES = (0x0806, 0x88CC, 0x9000)  # likewise
ETHER_TYPES = (0x0800, 0x86DD, *_TYPES)


def fields_of(frame: bytes, p: Parsed) -> dict[str, bytes]:
    """Every header field of fields.yaml, as bytes; empty where it is not there."""
    found = {name: frame[at : at + size] for name, (at, size) in _places(p).items()}
    v4 = p["ip_version"] == 4
    if p["have"] & IP:
        word = frame[p["l3"] : p["l3"] + 2]
        found["ip.dscp"] = bytes([word[1] >> 2 if v4 else int.from_bytes(word, "big") >> 6 & 63])
        found["ip.proto"] = bytes([_proto(frame, p)])
        found["ip.len"] = frame[p["l3"] + 2 : p["l3"] + 4] if v4 else frame[p["l3"] + 4 : p["l3"] + 6]
        found["ip.csum"] = bytes([_checksum_right(frame, p)]) if v4 else b""
        found["ip.version"] = bytes([p["ip_version"]])
        found["ip.frag"] = bytes([p["frag"]])
    if p["have"] & TCP:
        found["tcp.flags"] = bytes([p["tcp_flags"]])
    found["eth.type"] = struct.pack("!H", p["eth_type"])
    found["vlan.id"] = struct.pack("!H", p["vlan_id"])
    found["pkt.len"] = struct.pack("!H", p["len"])
    found["pl.head"] = frame[p["pl"] : p["pl"] + p["pl_len"]]
    return found


def same(name: str, one: Mapping[str, bytes], other: Mapping[str, bytes]) -> bool:
    """Whether an mNF reads the same there: a field that is not there reads 0."""
    values = one.get(name, b""), other.get(name, b"")
    return values[0] == values[1] or (name != "pl.head" and not any(values[0]) and not any(values[1]))


def rest_of(frame: bytes, p: Parsed) -> bytes:
    """The bytes that belong to no field that may be written, and to no checksum."""
    data = bytearray(frame)
    v4 = p["ip_version"] == 4
    holes = [*_places(p).values(), (p["pl"], p["pl_len"])]
    if p["have"] & IP:
        holes += [(p["l3"] + 10, 2)] if v4 else []
        offset = 16 if p["have"] & TCP else 6 if p["have"] & UDP else 2 if p["have"] & ICMP else -1
        holes += [(p["l4"] + offset, 2)] if offset >= 0 else []
        at = p["l3"]
        data[at : at + 2] = bytes([data[at] & (255 if v4 else 0xF0), data[at + 1] & (3 if v4 else 0x3F)])
    for at, size in holes:
        data[at : at + size] = bytes(size)
    return bytes(data)


def altered(frame: bytes, p: Parsed, field: str, pool: Sequence[bytes], r: random.Random) -> bytes:
    """The frame with another value in that field, where one can be put there; `pool`: values that the cases have."""
    kind, _, part = field.partition(".")
    data = bytearray(frame)
    if field in _places(p):
        at, size = _places(p)[field]
        fitting = [value for value in pool if len(value) == size]
        value = r.choice(fitting) if fitting and r.random() < 0.7 else r.randbytes(size)
        if field in ("ip.ttl", "tcp.flags") and r.random() < 0.5:
            value = bytes([r.choice((0, 0, 1, 2, 18, 64))])
        return _with(data, p, at, value)
    if kind == "vlan" and p["vlan_id"] and frame[12:14] in (b"\x81\0", b"\x88\xa8"):
        data[14:16] = struct.pack("!H", int.from_bytes(frame[14:16], "big") & 0xF000 | r.choice((1, 5, 100, r.randrange(1, 4095))))
    elif field == "pkt.len":
        data += bytes(r.choice((1, 7, 64, 700)))
    elif field == "eth.type" and not p["have"] & IP:
        at = next((at for at in (12, 16, 20) if data[at : at + 2] == struct.pack("!H", p["eth_type"])), 0)
        data[at : at + 2] = struct.pack("!H", r.choice(_TYPES)) if at else data[at : at + 2]
    elif kind == "pl" and p["pl_len"]:
        head = r.choice((b"GET ", b"HTTP/1.1", b"\x16\x03", r.randbytes(8)))[: p["pl_len"]]
        data[p["pl"] : p["pl"] + len(head)] = head
    elif kind == "ip" and p["have"] & IP:
        return _ip(data, p, part, r)
    return bytes(data)


def _places(p: Parsed) -> dict[str, tuple[int, int]]:
    """Offset and size of the fields that stand alone in whole bytes and can hold any value."""
    places = {"eth.dst": (0, 6), "eth.src": (6, 6)}
    v4, l3, l4 = p["ip_version"] == 4, p["l3"], p["l4"]
    if p["have"] & IP:
        places |= {"ip.src": (l3 + 12, 4), "ip.dst": (l3 + 16, 4), "ip.ttl": (l3 + 8, 1)} if v4 else {}
        places |= {} if v4 else {"ip.src": (l3 + 8, 16), "ip.dst": (l3 + 24, 16), "ip.ttl": (l3 + 7, 1)}
    if p["have"] & L4:
        places |= {"l4.sport": (l4, 2), "l4.dport": (l4 + 2, 2)}
    if p["have"] & TCP:
        places |= {"tcp.seq": (l4 + 4, 4), "tcp.ack": (l4 + 8, 4), "tcp.flags": (l4 + 13, 1), "tcp.window": (l4 + 14, 2)}
    return places


def _ip(data: bytearray, p: Parsed, part: str, r: random.Random) -> bytes:
    v4, l3 = p["ip_version"] == 4, p["l3"]
    if part == "dscp":
        word = int.from_bytes(data[l3 : l3 + 2], "big")
        dscp = r.choice((0, 10, 46, r.randrange(64)))
        return _with(data, p, l3, struct.pack("!H", word & 0xFF03 | dscp << 2 if v4 else word & 0xF03F | dscp << 6))
    if part == "csum" and v4:
        data[l3 + 10] ^= 0x5A
    elif part == "len" and p["pl_len"]:
        at = l3 + (2 if v4 else 4)
        less = struct.pack("!H", int.from_bytes(data[at : at + 2], "big") - r.randint(1, p["pl_len"]))
        if p["have"] & UDP:
            data[p["l4"] + 4 : p["l4"] + 6] = struct.pack("!H", 8)
        return _with(data, p, at, less)
    elif part == "frag" and v4:
        return _with(data, p, l3 + 6, b"\0\0" if p["frag"] else b"\x20\0")
    elif part == "proto":
        return _proto_altered(data, p, r)
    return bytes(data)


def _proto_altered(data: bytearray, p: Parsed, r: random.Random) -> bytes:
    """UDP becomes TCP without flags, and the other way round; what has no L4 becomes something else without."""
    v4, l3, l4 = p["ip_version"] == 4, p["l3"], p["l4"]
    at = l3 + (9 if v4 else 6)
    if not p["have"] & L4:
        return _with(data, p, at, bytes([r.choice(_PROTOCOLS)])) if _proto(bytes(data), p) in (*_PROTOCOLS, 1, 58) else bytes(data)
    if data[at] not in (6, 17):
        return bytes(data)  # behind extension headers
    payload, padding = bytes(data[p["pl"] : p["pl"] + p["pl_len"]]), bytes(data[p["pl"] + p["pl_len"] :])
    ports = bytes(data[l4 : l4 + 4])
    proto = 17 if data[at] == 6 else 6
    header = struct.pack("!HH", 8 + len(payload), 0) if proto == 17 else struct.pack("!IIBBHHH", 0, 0, 0x50, 0, 0, 0, 0)
    body = ports + header + payload
    length = struct.pack("!H", l4 - l3 + len(body) if v4 else l4 - l3 - 40 + len(body))
    whole = bytearray(data[:l4]) + body + padding
    whole = bytearray(_with(whole, p, l3 + (2 if v4 else 4), length))
    return _with(whole, p, at, bytes([proto]))


def _with(data: bytearray, p: Parsed, at: int, value: bytes) -> bytes:
    """The bytes with `value` at `at`, the IPv4 checksum as right as before."""
    right = p["ip_version"] != 4 or _checksum_right(bytes(data), p)
    data[at : at + len(value)] = value
    if p["ip_version"] == 4 and right:
        data[p["l3"] + 10 : p["l3"] + 12] = b"\0\0"
        data[p["l3"] + 10 : p["l3"] + 12] = struct.pack("!H", 0xFFFF - _sum(_header(bytes(data), p)))
    return bytes(data)


def _header(frame: bytes, p: Parsed) -> bytes:
    return frame[p["l3"] : p["l3"] + (frame[p["l3"]] & 15) * 4]


def _checksum_right(frame: bytes, p: Parsed) -> bool:
    return _sum(_header(frame, p)) == 0xFFFF


def _sum(data: bytes) -> int:
    """The ones' complement sum (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(total)


def _proto(frame: bytes, p: Parsed) -> int:
    """The protocol behind IPv6's extension headers."""
    if p["ip_version"] == 4:
        return int(frame[p["l3"] + 9])
    following, at = frame[p["l3"] + 6], p["l3"] + 40
    while following in (0, 43, 44, 51, 60) and at + 2 <= len(frame):
        size = 8 if following == 44 else (frame[at + 1] + 2) * 4 if following == 51 else (frame[at + 1] + 1) * 8
        following, at = frame[at], at + size
    return int(following)
