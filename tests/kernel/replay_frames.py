"""A frame of everything that the parser knows, and of much that is broken, built by scapy: clients, the example's service, its servers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert, IPOption_Timestamp
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6MLReport,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH, ESP
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Packet, Raw

_ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
_ENDS = {
    4: ("192.0.2.9", "198.51.100.7", ("10.1.0.11", "10.1.0.12")),
    6: ("2001:db8:ffff::9", "2001:db8::7", ("2001:db8:1::11", "2001:db8:1::12")),
}
_GET = b"GET /index.html HTTP/1.1\r\nHost: shop\r\n\r\n"
_ATTACK = b"GET /item?id=1%27%20OR%201%3D1-- HTTP/1.1\r\nHost: shop\r\n\r\n"


def frames() -> list[bytes]:
    """All of them, in an order in which connections are made before they are used."""
    sound = [bytes(packet) for packet in (*_links(), *_ipv4(), *_ipv6())]
    return [*sound, *_broken(), *(bytes(packet) for packet in _connections())]


def _ip(family: int, src: str, dst: str, **fields: Any) -> Packet:
    return (IP if family == 4 else IPv6)(src=src, dst=dst, **fields)


def _to_service(family: int, **fields: Any) -> Packet:
    client, service, _ = _ENDS[family]
    return _ip(family, client, service, **fields)


def _connections() -> Iterator[Packet]:
    """Requests of eight clients, and answers of both servers to each: one has the session, the other has not."""
    for version, sport in product((4, 6), range(4000, 4008)):
        client, service, servers = _ENDS[version]
        there = _ETHER / _ip(version, client, service)
        for flags, payload in (("S", b""), ("A", b""), ("PA", _GET), ("PA", _ATTACK), ("FA", b""), ("R", b"")):
            yield there / TCP(sport=sport, dport=80, flags=flags) / Raw(payload)
        for server, payload in product(servers, (b"", b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1400)):
            yield _ETHER / _ip(version, server, client) / TCP(sport=8080, dport=sport, flags="PA") / Raw(payload)


def _links() -> Iterator[Packet]:
    tcp = TCP(sport=4000, dport=80, flags="S")
    tags = (
        Dot1Q(vlan=5, prio=7),
        Dot1AD(vlan=100) / Dot1Q(vlan=5),
        Dot1Q(vlan=1) / Dot1Q(vlan=2),
        Dot1Q(vlan=0),
        Dot1Q() / Dot1Q() / Dot1Q(),
    )
    for version, tag in product((4, 6), tags):
        yield _ETHER / tag / _to_service(version) / tcp
    yield Ether(src="02:00:00:00:00:bd", dst="02:00:00:00:00:02") / _to_service(4) / tcp
    yield Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="192.0.2.9", pdst="192.0.2.1", hwsrc="02:00:00:00:09:01")
    yield _ETHER / Dot1Q(vlan=5) / ARP(op=2, psrc="192.0.2.9", pdst="192.0.2.1", hwsrc="02:00:00:00:09:01")
    for kind in (0x0042, 0x05DC, 0x8847, 0x88B5, 0x88CC, 0xFFFF):
        yield Ether(src=_ETHER.src, dst=_ETHER.dst, type=kind) / Raw(bytes(46))
        yield _ETHER / Dot1Q(vlan=5, type=kind) / Raw(bytes(42))


def _l4(version: int) -> Iterator[Packet]:
    echo, error = (ICMP(), ICMP(type=3, code=1)) if version == 4 else (ICMPv6EchoRequest(), ICMPv6DestUnreach())
    client, service, _ = _ENDS[version]
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
    for flags in ("S", "SA", "A", "PA", "FA", "RA", "FSRPAUEC", ""):
        yield TCP(sport=4000, dport=80, flags=flags)
    yield TCP(sport=4000, dport=80, flags="S", options=options)
    yield TCP(sport=4000, dport=80, flags="PA", options=options) / Raw(_ATTACK)
    yield TCP(sport=4000, dport=22)
    yield TCP(sport=4000, dport=80, chksum=0x1234)
    yield UDP(sport=4000, dport=80) / Raw(b"x")
    yield UDP(sport=53, dport=53)
    yield UDP(sport=4000, dport=80, chksum=0) / Raw(b"x")
    yield echo
    yield error / _ip(version, service, client) / TCP(sport=80, dport=4000)
    yield SCTP(sport=4000, dport=80)
    yield GRE() / _to_service(4) / TCP()
    yield ESP(spi=1, data=bytes(20))
    yield AH(nh=6, spi=1, icv=bytes(12)) / TCP(sport=4000, dport=80)


def _ipv4() -> Iterator[Packet]:
    client, service, _ = _ENDS[4]
    syn = TCP(sport=4000, dport=80, flags="S")
    for l4 in _l4(4):
        yield _ETHER / _to_service(4) / l4
    for options in ([IPOption_Router_Alert()], [IPOption_Timestamp()], [IPOption_Router_Alert()] * 10):
        yield _ETHER / _to_service(4, options=options) / syn
    for fragment in ({"flags": "MF"}, {"flags": "MF", "frag": 5}, {"frag": 185}, {"flags": "DF"}, {"flags": "evil"}):
        yield _ETHER / _to_service(4, **fragment) / syn
    for ttl, tos in product((0, 1, 2, 255), (0, 0xB8)):
        yield _ETHER / _to_service(4, ttl=ttl, tos=tos) / syn
    for source in ("203.0.113.5", "127.0.0.1", "224.0.0.5", "255.255.255.255", "0.0.0.0", "10.1.0.11", service):
        yield _ETHER / IP(src=source, dst=service) / syn
    for target in ("192.0.2.1", "10.1.0.11", "192.0.2.255", "224.0.0.1", "255.255.255.255", "8.8.8.8", client):
        yield _ETHER / IP(src=client, dst=target) / syn
    yield _ETHER / _to_service(4, chksum=0x1234) / syn
    yield _ETHER / _to_service(4, proto=2) / Raw(bytes(8))
    for size in (1459, 1460, 1461, 2000):  # MTU, and past it
        yield _ETHER / _to_service(4) / syn / Raw(bytes(size))
    yield _ETHER / _to_service(4) / syn / Raw(_GET) / Raw(bytes(1400))


def _ipv6() -> Iterator[Packet]:
    client, service, _ = _ENDS[6]
    syn = TCP(sport=4000, dport=80, flags="S")
    for l4 in _l4(6):
        yield _ETHER / _to_service(6) / l4
    extensions = [
        IPv6ExtHdrHopByHop(),
        IPv6ExtHdrDestOpt(),
        IPv6ExtHdrRouting(),
        IPv6ExtHdrRouting(addresses=[service]),
        AH(spi=1, icv=bytes(12)),
    ]
    extensions += [IPv6ExtHdrFragment(offset=offset, m=more, id=1) for offset, more in ((0, 1), (9, 1), (9, 0), (0, 0))]
    for extension in extensions:
        yield _ETHER / _to_service(6) / extension / syn
        yield _ETHER / _to_service(6) / IPv6ExtHdrHopByHop() / extension / UDP(sport=4000, dport=80)
    for count in (5, 6, 7):
        chain = _to_service(6)
        for _ in range(count):
            chain /= IPv6ExtHdrDestOpt()
        yield _ETHER / chain / syn
    yield _ETHER / _to_service(6, nh=59)
    yield _ETHER / _to_service(6, nh=59) / Raw(bytes(30))
    for message in (ICMPv6ND_NS(tgt=service), ICMPv6ND_NA(tgt=service), ICMPv6ND_RS(), ICMPv6MLReport()):
        yield _ETHER / _to_service(6, hlim=255) / message
    for hops, traffic_class in product((0, 1, 2, 255), (0, 0xB8)):
        yield _ETHER / _to_service(6, hlim=hops, tc=traffic_class, fl=0xABCDE) / syn
    for source in ("2001:db8:bad::5", "::1", "::", "ff02::1", "fe80::1", "::ffff:192.0.2.9", "2001:db8:1::11"):
        yield _ETHER / IPv6(src=source, dst=service) / syn
    for target in ("2001:db8:ffff::1", "2001:db8:1::11", "ff02::1", "2001:4860::1"):
        yield _ETHER / IPv6(src=client, dst=target) / syn
    for size in (1439, 1440, 1441):
        yield _ETHER / _to_service(6) / syn / Raw(bytes(size))


def _broken() -> Iterator[bytes]:
    """Cut short, padded, lengths that lie, versions that are none."""
    syn = TCP(sport=4000, dport=80, flags="S") / Raw(b"GET ")
    whole = [bytes(_ETHER / _to_service(version) / syn) for version in (4, 6)]
    whole.append(bytes(_ETHER / Dot1AD(vlan=1) / Dot1Q(vlan=2) / _to_service(4) / syn))
    whole.append(bytes(_ETHER / _to_service(6) / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment() / UDP(sport=1, dport=80) / Raw(b"x")))
    for frame in whole:
        yield from (frame[:size] for size in range(14, len(frame)))
        yield from (frame + bytes(size) for size in (1, 5, 40))
    lies: list[Packet] = [_to_service(4, ihl=4), _to_service(4, ihl=15), _to_service(4, version=5), _to_service(4, version=6)]
    lies += [_to_service(4, len=size) for size in (0, 19, 20, 39, 43, 45, 65535)]
    lies += [_to_service(6, version=4), *(_to_service(6, plen=size) for size in (0, 19, 23, 25, 65535))]
    for lie in lies:
        yield bytes(_ETHER / lie / syn)
    for version in (4, 6):
        yield from (bytes(_ETHER / _to_service(version) / TCP(sport=1, dport=80, dataofs=words)) for words in (0, 4, 6, 15))
        yield from (
            bytes(_ETHER / _to_service(version) / UDP(sport=1, dport=80, len=size) / Raw(b"abc")) for size in (0, 7, 8, 10, 12, 999)
        )
    yield bytes(Ether(src=_ETHER.src, dst=_ETHER.dst, type=0x86DD) / _to_service(4) / syn)
    yield bytes(Ether(src=_ETHER.src, dst=_ETHER.dst, type=0x0800) / _to_service(6) / syn)
