"""size_hist: every frame counts once."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict


class Model:
    """The model of size_hist."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        state["sizes"].record(len(packet.data))
        return NEXT
