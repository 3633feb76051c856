"""gate: see tests/optimise/mnfs."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict, drop, to


class Model:
    """The model of gate."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        if m["class"] < cfg["low"]:
            return drop("low")
        return to("high") if m["class"] > cfg["high"] else NEXT
