"""mac_rewrite: what the route said."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict


class Model:
    """The model of mac_rewrite."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        packet.set("eth.dst", m["nh_dst"])
        packet.set("eth.src", m["nh_src"])
        return NEXT
