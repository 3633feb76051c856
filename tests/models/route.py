"""route: semantics.md, line 14."""

from __future__ import annotations

from tests.models.base import NEXT, PASS, Verdict, drop
from tests.models.packet import FIB_KERNEL, FIB_NO_ROUTE


class Model:
    """The model of route."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        hop = packet.fib_lookup() if packet.get("ip.ttl") > 1 else FIB_KERNEL
        if hop == FIB_KERNEL:
            return PASS
        if hop == FIB_NO_ROUTE:
            return drop("no_route")
        m["fwd_port"], m["nh_dst"], m["nh_src"] = hop.port, hop.dst, hop.src
        return NEXT
