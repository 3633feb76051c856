"""Packet text (docs/reference/body.md) to the bytes of a frame: `tcp 192.0.2.9:4000 > 198.51.100.7:80 flags S`.

What the text doesn't say: MACs 02:00:00:00:00:01 > 02:00:00:00:00:02, ports 4000 > 80, TTL 64, TCP flags A, ICMP echo request.
Frames are padded to 60 bytes, as Ethernet does.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ebpfnf.errors import SpecError, Where

MINIMUM = 60
_TOKEN = re.compile(r"\s*('(?:[^'\\]|\\.)*'|[^\s']+)")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PLAIN = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\", "'": "'"}
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\Z")


class _Wrong(Exception):
    """What is wrong with the text."""


@dataclass(slots=True)
class _Options:
    """What follows the addresses."""

    flags: str = "A"
    payload: bytes = b""
    ttl: int = 64
    dscp: int = 0
    seq: int = 0
    ack: int = 0
    vlans: list[int] = field(default_factory=list)
    macs: tuple[str, str] = ("02:00:00:00:00:01", "02:00:00:00:00:02")
    fragment: int | None = None
    more: bool = False
    size: int = 0
    bad_checksum: bool = False


def build(text: str, where: Where | None = None) -> bytes:
    """The frame that `text` describes; SpecError when it describes none."""
    try:
        return _build(_tokens(text))
    except _Wrong as error:
        raise SpecError(f"packet '{text}': {error}", where, "packet text: docs/reference/body.md") from None


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise _Wrong("a quote is open")
        tokens.append(match[1])
        at = match.end()
    if not tokens:
        raise _Wrong("it is empty, wanted tcp, udp, icmp, icmpv6, arp or hex")
    return tokens


def _build(tokens: list[str]) -> bytes:
    kind, rest = tokens[0], tokens[1:]
    if kind == "hex":
        return _hex("".join(rest))
    if kind == "arp":
        return _arp(rest)
    if kind not in ("tcp", "udp", "icmp", "icmpv6"):
        raise _Wrong(f"'{kind}' is unknown, wanted tcp, udp, icmp, icmpv6, arp or hex")
    if len(rest) < 3 or rest[1] != ">":
        raise _Wrong(f"wanted '{kind} SOURCE > DESTINATION'")
    (src, sport), (dst, dport) = _end(rest[0], kind), _end(rest[2], kind)
    version = ipaddress.ip_address(src).version
    if ipaddress.ip_address(dst).version != version:
        raise _Wrong("source and destination are of two IP versions")
    if {"icmp": 4, "icmpv6": 6}.get(kind, version) != version:
        raise _Wrong(f"{kind} doesn't run over IPv{version}")
    options = _options(rest[3:], kind)
    ports = (4000 if sport is None else sport, 80 if dport is None else dport)
    return _assemble(kind, version, src, dst, ports, options)


def _hex(digits: str) -> bytes:
    if not digits or not re.fullmatch(r"(?:[0-9a-fA-F]{2})+", digits):
        raise _Wrong("wanted 'hex' and pairs of hex digits")
    return bytes.fromhex(digits)


def _end(text: str, kind: str) -> tuple[str, int | None]:
    """Address and port of `1.2.3.4:80`, `[2001:db8::1]:80` or an address alone."""
    match = re.fullmatch(r"\[([^\]]+)\](?::([0-9]+))?|([0-9.]+):([0-9]+)|([^\[\]]+)", text)
    address, port = (match[1] or match[3] or match[5], match[2] or match[4]) if match else ("", None)
    try:
        address = str(ipaddress.ip_address(address))
    except ValueError:
        raise _Wrong(f"'{text}' is no address, wanted 192.0.2.1, 192.0.2.1:80, 2001:db8::1 or [2001:db8::1]:80") from None
    if port is not None and kind not in ("tcp", "udp"):
        raise _Wrong(f"{kind} has no ports")
    return address, None if port is None else _number(port, 65535, "port")


def _number(text: str, most: int, name: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > most:
        raise _Wrong(f"{name} '{text}', wanted a number from 0 to {most}")
    return int(text)


def _payload(text: str) -> bytes:
    if not text.startswith("'"):
        raise _Wrong("the payload stands in single quotes")

    def unescape(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        if match[2] not in _PLAIN:
            raise _Wrong(f"escape '\\{match[2]}' is unknown, wanted \\r \\n \\t \\0 \\\\ \\' or \\xNN")
        return _PLAIN[match[2]]

    # Escapes stand for bytes, what is typed for its UTF-8.
    pieces, at = [], 1
    for match in _ESCAPE.finditer(text, 1, len(text) - 1):
        pieces.append(text[at : match.start()].encode())
        pieces.append(unescape(match).encode("latin-1"))
        at = match.end()
    return b"".join([*pieces, text[at:-1].encode()])


def _options(words: list[str], kind: str) -> _Options:
    options, queue = _Options(), list(words)

    def take(name: str) -> str:
        if not queue:
            raise _Wrong(f"'{name}' wants a value")
        return queue.pop(0)

    def tcp_only(name: str) -> None:
        if kind != "tcp":
            raise _Wrong(f"{kind} has no '{name}'")

    numbers = {"ttl": 255, "dscp": 63, "seq": 2**32 - 1, "ack": 2**32 - 1, "size": 9000}
    while queue:
        name = queue.pop(0)
        if name in numbers:
            if name in ("seq", "ack"):
                tcp_only(name)
            setattr(options, name, _number(take(name), numbers[name], name))
        elif name == "flags":
            tcp_only(name)
            options.flags = take(name)
            if not re.fullmatch("[FSRPAUECN]+", options.flags):
                raise _Wrong(f"flags '{options.flags}', wanted letters of FSRPAU")
        elif name == "payload":
            options.payload = _payload(take(name))
        elif name == "vlan":
            options.vlans.append(_number(take(name), 4095, "vlan"))
        elif name == "eth":
            options.macs = _macs(take(name), take(name), take(name))
        elif name == "frag":
            options.fragment = _number(take(name), 8191, "fragment offset in units of 8 bytes")
            if queue and queue[0] == "mf":
                options.more = bool(queue.pop(0))
        elif name == "csum":
            if take(name) != "bad":
                raise _Wrong("'csum' wants 'bad'")
            options.bad_checksum = True
        else:
            raise _Wrong(f"'{name}' is unknown, wanted flags, payload, ttl, dscp, seq, ack, vlan, eth, frag, size or csum")
    if len(options.vlans) > 2:
        raise _Wrong("at most two VLAN tags")
    return options


def _macs(source: str, arrow: str, destination: str) -> tuple[str, str]:
    if arrow != ">" or not _MAC.match(source) or not _MAC.match(destination):
        raise _Wrong("'eth' wants 'MAC > MAC'")
    return source, destination


def _arp(words: list[str]) -> bytes:
    from scapy.layers.l2 import ARP, Ether

    if len(words) not in (2, 4) or words[0] != "who-has" or (len(words) == 4 and words[2] != "tell"):
        raise _Wrong("wanted 'arp who-has IP' or 'arp who-has IP tell IP'")
    addresses = [words[1], words[3] if len(words) == 4 else "0.0.0.0"]
    for address in addresses:
        try:
            ipaddress.IPv4Address(address)
        except ValueError:
            raise _Wrong(f"'{address}' is no IPv4 address") from None
    mac = _Options().macs[0]
    frame = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=addresses[1], pdst=addresses[0])
    return bytes(frame).ljust(MINIMUM, b"\0")


def _assemble(kind: str, version: int, src: str, dst: str, ports: tuple[int, int], o: _Options) -> bytes:
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
    from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
    from scapy.packet import Raw

    l4: dict[str, Callable[[], Any]] = {
        "tcp": lambda: TCP(sport=ports[0], dport=ports[1], flags=o.flags, seq=o.seq, ack=o.ack),
        "udp": lambda: UDP(sport=ports[0], dport=ports[1]),
        "icmp": lambda: ICMP(),
        "icmpv6": lambda: ICMPv6EchoRequest(),
    }
    ip = IP(src=src, dst=dst, ttl=o.ttl, tos=o.dscp << 2) if version == 4 else IPv6(src=src, dst=dst, hlim=o.ttl, tc=o.dscp << 2)
    link: Any = Ether(src=o.macs[0], dst=o.macs[1])
    for depth, tag in enumerate(o.vlans):
        link /= Dot1AD(vlan=tag) if depth == 0 and len(o.vlans) == 2 else Dot1Q(vlan=tag)

    def frame(payload: bytes) -> bytes:
        whole = bytes(link / ip / l4[kind]() / Raw(payload)) if payload else bytes(link / ip / l4[kind]())
        if o.fragment is not None:
            whole = _fragment(whole, len(bytes(link)), version, o)
        return whole

    bare = len(frame(b""))
    if o.size and o.size < bare + len(o.payload):
        raise _Wrong(f"size {o.size} is too small, this packet takes {bare + len(o.payload)}")
    data = bytearray(frame(o.payload.ljust(o.size - bare, b"x") if o.size else o.payload))
    if o.bad_checksum:
        _spoil(data, len(bytes(link)), version, kind)
    return bytes(data).ljust(MINIMUM, b"\0")


def _fragment(frame: bytes, l3: int, version: int, o: _Options) -> bytes:
    """The frame's packet as one fragment; a later one has no L4 header, only the payload."""
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
    from scapy.packet import Raw

    size = {6: 20, 17: 8, 1: 8, 58: 8}
    if version == 4:
        ip = IP(frame[l3:])
        body, proto = bytes(ip.payload), ip.proto
        head: Any = IP(src=ip.src, dst=ip.dst, ttl=ip.ttl, tos=ip.tos, proto=proto, frag=o.fragment, flags="MF" if o.more else "")
    else:
        ip = IPv6(frame[l3:])
        body, proto = bytes(ip.payload), ip.nh
        head = IPv6(src=ip.src, dst=ip.dst, hlim=ip.hlim, tc=ip.tc) / IPv6ExtHdrFragment(offset=o.fragment, m=int(o.more), nh=proto, id=1)
    return frame[:l3] + bytes(head / Raw(body[size[proto] :] if o.fragment else body))


def _spoil(data: bytearray, l3: int, version: int, kind: str) -> None:
    """Of IPv4 the header's checksum, of IPv6, which has none, that of L4."""
    at = l3 + 10 if version == 4 else l3 + 40 + {"tcp": 16, "udp": 6, "icmpv6": 2}[kind]
    data[at] ^= 0x55
