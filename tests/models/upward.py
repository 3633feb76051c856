"""upward: see tests/optimise/mnfs."""

from __future__ import annotations

from ebpfnf.tables.types import PROTOCOLS as NUMBERS
from tests.models.base import NEXT, Verdict, to


class Model:
    """The model of upward."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        return to("mine") if packet.flow.proto == NUMBERS[cfg["proto"]] else NEXT
