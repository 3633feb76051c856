"""points: see tests/optimise/mnfs."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict, drop


class Model:
    """The model of points."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        m["points.sum"] += packet.get("ip.ttl")
        return drop("enough") if m["points.sum"] >= cfg["limit"] else NEXT
