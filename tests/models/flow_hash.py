"""flow_hash: the hash of the five-tuple."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict


class Model:
    """The model of flow_hash."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        m["hash"] = packet.flow.hash()
        return NEXT
