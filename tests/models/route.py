"""route: semantics.md, line 14; what is never forwarded is left to the kernel."""

from __future__ import annotations

import ipaddress

from tests.models.base import NEXT, PASS, Verdict, drop
from tests.models.packet import FIB_KERNEL, FIB_NO_ROUTE

_STAYS = [ipaddress.ip_network(n) for n in ("224.0.0.0/4", "240.0.0.0/4", "ff00::/8", "fe80::/10")]


class Model:
    """The model of route."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        if packet.get("ip.ttl") <= 1:
            return PASS
        ends = [ipaddress.ip_address(raw[12:] if packet.v4 else raw) for raw in (packet.get("ip.src"), packet.get("ip.dst"))]
        if any(end in network for end in ends for network in _STAYS):
            return PASS
        hop = packet.fib_lookup()
        if hop == FIB_KERNEL:
            return PASS
        if hop == FIB_NO_ROUTE:
            return drop("no_route")
        m["fwd_port"], m["nh_dst"], m["nh_src"] = hop.port, hop.dst, hop.src
        return NEXT
