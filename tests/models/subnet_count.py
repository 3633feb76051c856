"""subnet_count: what comes in by destination, what goes out by source."""

from __future__ import annotations

from tests.models.base import FORWARD, NEXT, Verdict


class Model:
    """The model of subnet_count."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        if not packet.parsed.ip_version:
            return NEXT
        index = state["subnets"].lookup(packet.flow.daddr if m["dir"] == FORWARD else packet.flow.saddr)
        if index is not None:
            state["counts"].add(index, {"packets": 1, "bytes": len(packet.data)})
        return NEXT
