"""visits: see tests/optimise/mnfs."""

from __future__ import annotations

from tests.models.base import NEXT, Verdict, drop


class Model:
    """The model of visits."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        seen, source = state["seen"], packet.flow.saddr
        known = seen.lookup(source)
        if known is None or packet.now - known["since"] > 10**9:
            seen.update(source, {"packets": 1, "since": packet.now})
            return NEXT
        known["packets"] += 1
        return drop("too_many") if known["packets"] > cfg["most"] else NEXT
