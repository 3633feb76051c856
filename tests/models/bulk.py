"""bulk: see tests/optimise/mnfs."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict, to


class Model:
    """The model of bulk."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        return to("long") if packet.parsed.len > 64 else NEXT
