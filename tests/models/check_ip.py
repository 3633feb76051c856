"""check_ip: addresses by the networks that RFC 1812 and RFC 4291 name."""

from __future__ import annotations

import ipaddress

from tests.models.base import NEXT, Verdict, drop

_NOWHERE = [ipaddress.ip_network(n) for n in ("0.0.0.0/8", "127.0.0.0/8", "::/64")]
_MANY = [ipaddress.ip_network(n) for n in ("224.0.0.0/4", "240.0.0.0/4", "ff00::/8")]


class Model:
    """The model of check_ip."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        if not packet.parsed.ip_version:
            return NEXT
        src, dst = (ipaddress.ip_address(raw[12:] if packet.v4 else raw) for raw in (packet.get("ip.src"), packet.get("ip.dst")))
        if not packet.ip_checksum_ok():
            return drop("bad_checksum")
        if any(src in network for network in _NOWHERE + _MANY):
            return drop("martian_source")
        if any(dst in network for network in _NOWHERE):
            return drop("martian_destination")
        return drop("land") if src == dst else NEXT
