"""ttl_dec: a packet with one hop left has none."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict, drop


class Model:
    """The model of ttl_dec."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        if packet.parsed.ip_version and packet.get("ip.ttl") <= 1:
            return drop("ttl_expired")
        packet.set("ip.ttl", max(packet.get("ip.ttl") - 1, 0))
        return NEXT
