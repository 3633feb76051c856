"""grade: see tests/optimise/mnfs."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict


class Model:
    """The model of grade."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        m["class"] = len(packet.data) >> 6
        return NEXT
