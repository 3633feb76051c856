"""fork: see tests/optimise/mnfs."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict, to


class Model:
    """The model of fork."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        return to("odd") if packet.flow.daddr[15] & 1 else NEXT
