"""Match keys: what a rule says of a field, as bits to compare. One file for text and bits; `acl` makes records of them."""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ebpfnf.errors import TableError
from ebpfnf.tables.types import SCALARS, Integer, ip_bytes, ip_text

# Presence bits, as HAVE_* in progs/framework/types.h (a test compares them); `needs` of a field names the one it depends on.
HAVE = {"eth": 1, "vlan": 2, "ip": 4, "l4": 8, "tcp": 16, "udp": 32, "icmp": 64, "nd": 128, "frag": 256}
ETHERTYPES = {"ip": 0x0800, "arp": 0x0806, "ipv6": 0x86DD, "lldp": 0x88CC}
TCP_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ece": 64, "cwr": 128}

_MAPPED = 96  # bits before an IPv4 address in ::ffff:a.b.c.d
_ALL, _HEAD, _MAPPED_HEAD = (struct.unpack("=Q", bytes.fromhex(word))[0] for word in ("ff" * 8, "ffffffff00000000", "0000ffff00000000"))

Bits = tuple[tuple[int, int], ...]  # (value, mask) of each word of a field, or one (low, high) of a range


@dataclass(frozen=True, slots=True)
class MatchField:
    """A field that rules compare: a header field of fields.yaml, or `m.<field>` of the metadata."""

    name: str
    type: str  # spelling of tables.types
    match: str  # exact | mask | range
    needs: str = ""  # what must be there for the field to exist

    @property
    def words(self) -> int:
        """Words of 64 bits that it fills alone; 0: it shares one, or is a range."""
        return {"prefix": 2, "mac": 1}.get(self.type, 0)

    @property
    def bits(self) -> int:
        """Width of a field that shares a word."""
        return 0 if self.words or self.match == "range" else 8 * SCALARS[self.type].size


def match_fields(key: Any) -> tuple[MatchField, ...]:
    """The fields of a table whose `key` is as `describe` makes it."""
    try:
        fields = tuple(MatchField(str(k["name"]), str(k["type"]), str(k["match"]), str(k["needs"])) for k in key)
    except (KeyError, TypeError):
        raise TableError("an acl's key: a list of fields with name, type, match and needs") from None
    for field in fields:
        if field.match not in ("exact", "mask", "range") or field.type not in SCALARS or SCALARS[field.type].size > 20:
            raise TableError(f"field '{field.name}' can't be matched")
        if field.match == "range" and SCALARS[field.type].size != 2:
            raise TableError(f"field '{field.name}': ranges are of 16 bits")
    return fields


def describe(fields: Sequence[MatchField]) -> list[dict[str, str]]:
    """The `key` of an acl's model.Table: what the agent must know of its fields, in JSON's types."""
    return [{"name": f.name, "type": f.type, "match": f.match, "needs": f.needs} for f in fields]


def version_of(field: MatchField, bits: Bits) -> int:
    """4 or 6 when these bits hold for one IP version only, else 0."""
    if field.type == "prefix":
        (first, first_mask), (second, second_mask) = bits
        return 4 if (first, first_mask, second & _HEAD, second_mask & _HEAD) == (0, _ALL, _MAPPED_HEAD, _HEAD) else 6
    return bits[0][0] if field.name == "ip.version" else 0


def bits_of(field: MatchField, value: Any) -> Bits:
    """(value, mask) of each word of the field, or one (low, high) of a range; ValueError says what was wanted."""
    if field.type == "prefix":
        return _prefix_bits(str(value))
    if field.type == "mac":
        return (_mac_bits(str(value)),)
    if field.match == "range":
        return (_range(value),)
    if field.name == "tcp.flags":
        return (_flags(value),)
    return ((_number(field, value), (1 << field.bits) - 1),)


def text_of(field: MatchField, bits: Bits) -> Any:
    """What `bits_of` was given, in its normal spelling."""
    if field.type == "prefix":
        return _prefix_text(bits)
    (first, second) = bits[0]
    if field.type == "mac":
        address, length = struct.pack("=Q", first)[:6].hex(":"), second.bit_count()
        return address if length == 48 else f"{address}/{length}"
    if field.match == "range":
        return first if first == second else f"{first}-{second}"
    if field.name == "tcp.flags":
        return ",".join(("" if first & bit else "!") + name for name, bit in TCP_FLAGS.items() if second & bit)
    if field.name == "eth.type":
        return next((name for name, number in ETHERTYPES.items() if number == first), first)
    return SCALARS[field.type].decode(SCALARS[field.type].encode(first))


def presence(fields: Iterable[MatchField]) -> int:
    """The bits without which a packet can't match a rule that names these: who names l4.dport wants an L4 header."""
    bits = 0
    for field in fields:
        bits |= HAVE.get(field.needs, 0)
    return bits


@lru_cache(maxsize=4096)  # each rule is compiled twice: to size its table, to fill it
def _prefix_bits(text: str) -> Bits:
    network = ipaddress.ip_network(SCALARS["prefix"].parse(text))
    length = network.prefixlen + (_MAPPED if network.version == 4 else 0)
    mask = ((1 << length) - 1 << 128 - length).to_bytes(16, "big")
    return tuple(zip(struct.unpack("=2Q", ip_bytes(str(network.network_address))), struct.unpack("=2Q", mask), strict=True))


def _prefix_text(bits: Bits) -> str:
    address = ip_text(struct.pack("=2Q", *(value for value, _ in bits)))
    length = sum(mask.bit_count() for _, mask in bits)
    return f"{address}/{length if ':' in address else length - _MAPPED}"


def _mac_bits(text: str) -> tuple[int, int]:
    address, _, length = text.partition("/")
    if length and (not re.fullmatch(r"[0-9]{1,2}", length) or int(length) > 48):
        raise ValueError("a MAC address, or one with the length of a prefix up to 48")
    data = SCALARS["mac"].encode(SCALARS["mac"].parse(address))
    bits = int(length) if length else 48
    mask = ((1 << bits) - 1 << 48 - bits).to_bytes(6, "big")
    value = bytes(a & b for a, b in zip(data, mask, strict=True))
    return struct.unpack("=Q", value + b"\0\0")[0], struct.unpack("=Q", mask + b"\0\0")[0]


def _range(value: Any) -> tuple[int, int]:
    first, dash, last = str(value).partition("-")
    numbers = [int(part) for part in ((first, last) if dash else (first, first)) if re.fullmatch(r"0|[1-9][0-9]{0,4}", part)]
    if isinstance(value, bool) or len(numbers) != 2 or not numbers[0] <= numbers[1] <= 65535:
        raise ValueError("a port from 0 to 65535, or a range such as 1024-65535")
    return numbers[0], numbers[1]


def _flags(value: Any) -> tuple[int, int]:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255:
        return value, 255
    bits = mask = 0
    for part in re.split(r"\s*,\s*", value) if isinstance(value, str) else [""]:
        bit = TCP_FLAGS.get(part.removeprefix("!"), 0)
        if not bit or mask & bit:
            raise ValueError("TCP flags such as 'syn,!ack', each at most once: " + " ".join(TCP_FLAGS))
        mask |= bit
        bits |= 0 if part.startswith("!") else bit
    return bits, mask


def _number(field: MatchField, value: Any) -> int:
    if field.name == "eth.type" and value in ETHERTYPES:
        return ETHERTYPES[value]
    if field.name == "ip.version" and str(value) not in ("4", "6"):
        raise ValueError("4 or 6")
    kind = SCALARS[field.type]
    parsed = kind.parse(value)
    number = parsed if isinstance(kind, Integer) else kind.encode(parsed)[0]
    limit = {"vlan.id": 4095, "ip.dscp": 63}.get(field.name, number)
    if number > limit:
        raise ValueError(f"a whole number from 0 to {limit}")
    return number
