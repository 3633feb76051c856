"""The parser's model: a frame's bytes to what the metadata says of it. Plain bytes and ints."""

from __future__ import annotations

from dataclasses import dataclass, replace

HAVE_ETH, HAVE_VLAN, HAVE_IP, HAVE_L4, HAVE_TCP, HAVE_UDP, HAVE_ICMP, HAVE_ND, HAVE_FRAG = (1 << bit for bit in range(9))
ICMP, TCP, UDP, FRAGMENT, ESP, AH, ICMPV6, NONE = 1, 6, 17, 44, 50, 51, 58, 59
CONTROL = 0x88B5
MAPPED = b"\0" * 10 + b"\xff\xff"  # before an IPv4 address: never on the wire (RFC 4291, 2.5.5.2)
TAGS = (0x8100, 0x88A8)
EXTENSIONS = (0, 43, 60, AH, FRAGMENT)
MOST_EXTENSIONS = 6
NEIGHBOUR_DISCOVERY = {*range(130, 138), 143}  # MLD and ND: never an operator's traffic unless he names icmpv6


class Unparsable(Exception):
    """The frame is dropped before any chain sees it; the argument is the reason: malformed or control_frame."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the parser found: the metadata fields of fields.yaml that it writes, and the final protocol."""

    len: int
    eth_type: int = 0
    vlan_id: int = 0
    have: int = HAVE_ETH
    ip_version: int = 0
    proto: int = 0
    tcp_flags: int = 0
    frag: int = 0
    l3: int = 0
    l4: int = 0
    pl: int = 0
    pl_len: int = 0


def parse(frame: bytes) -> Parsed:
    """Walk the headers of a frame; raises Unparsable."""
    vlan_id, have, at = 0, HAVE_ETH, 12
    _need(frame, 14, len(frame))
    eth_type = _be16(frame, at)
    for tag in range(2):
        if eth_type not in TAGS:
            break
        _need(frame, at + 6, len(frame))
        if tag == 0:
            vlan_id, have = _be16(frame, at + 2) & 0xFFF, have | HAVE_VLAN
        at += 4
        eth_type = _be16(frame, at)
    if eth_type == CONTROL:
        raise Unparsable("control_frame")
    base = Parsed(len=len(frame), eth_type=eth_type, vlan_id=vlan_id, have=have, l3=at + 2 if eth_type in (0x0800, 0x86DD) else 0)
    if eth_type == 0x0800:
        return _ipv4(frame, base)
    if eth_type == 0x86DD:
        return _ipv6(frame, base)
    return base


def _ipv4(frame: bytes, base: Parsed) -> Parsed:
    at = base.l3
    _need(frame, at + 20, len(frame))
    header, total = (frame[at] & 0xF) * 4, _be16(frame, at + 2)
    if frame[at] >> 4 != 4 or header < 20 or total < header or at + total > len(frame):
        raise Unparsable("malformed")
    base = replace(base, have=base.have | HAVE_IP, ip_version=4, proto=frame[at + 9])
    if _be16(frame, at + 6) & 0x3FFF:
        return replace(base, have=base.have | HAVE_FRAG, frag=1)
    return _l4(frame, base, at + header, at + total)


def _ipv6(frame: bytes, base: Parsed) -> Parsed:
    at = base.l3
    _need(frame, at + 40, len(frame))
    end = at + 40 + _be16(frame, at + 4)
    if frame[at] >> 4 != 6 or end > len(frame):
        raise Unparsable("malformed")
    if MAPPED in (frame[at + 8 : at + 20], frame[at + 24 : at + 36]):
        raise Unparsable("malformed")
    base = replace(base, have=base.have | HAVE_IP, ip_version=6)
    proto, at, seen = frame[at + 6], at + 40, 0
    while proto in EXTENSIONS:
        seen += 1
        if seen > MOST_EXTENSIONS:
            raise Unparsable("malformed")
        _need(frame, at + 8, end)
        following = frame[at]
        if proto == FRAGMENT:
            if _be16(frame, at + 2) & 0xFFF9:  # offset or more-fragments; neither: an atomic fragment (RFC 6946)
                return replace(base, have=base.have | HAVE_FRAG, frag=1, proto=following)
            size = 8
        elif proto == AH:
            size = (frame[at + 1] + 2) * 4
        else:
            size = (frame[at + 1] + 1) * 8
        _need(frame, at + size, end)
        proto, at = following, at + size
    base = replace(base, proto=proto)
    return base if proto in (NONE, ESP) else _l4(frame, base, at, end)


def _l4(frame: bytes, base: Parsed, at: int, end: int) -> Parsed:
    """The header behind IP; `end` is where IP says that its payload ends."""
    base, have = replace(base, l4=at), base.have
    if base.proto == TCP:
        _need(frame, at + 20, end)
        header = (frame[at + 12] >> 4) * 4
        if header < 20 or at + header > end:
            raise Unparsable("malformed")
        return replace(base, have=have | HAVE_L4 | HAVE_TCP, tcp_flags=frame[at + 13], pl=at + header, pl_len=end - at - header)
    if base.proto == UDP:
        _need(frame, at + 8, end)
        length = _be16(frame, at + 4)
        if length < 8 or at + length > end:
            raise Unparsable("malformed")
        return replace(base, have=have | HAVE_L4 | HAVE_UDP, pl=at + 8, pl_len=length - 8)
    if (base.proto, base.ip_version) in ((ICMP, 4), (ICMPV6, 6)):
        _need(frame, at + 8, end)
        if base.proto == ICMPV6 and frame[at] in NEIGHBOUR_DISCOVERY:
            have |= HAVE_ND
        return replace(base, have=have | HAVE_ICMP, pl=at + 8, pl_len=end - at - 8)
    return base


def _be16(frame: bytes, at: int) -> int:
    return int.from_bytes(frame[at : at + 2], "big")


def _need(frame: bytes, upto: int, end: int) -> None:
    if upto > end:
        raise Unparsable("malformed")
