"""echo: see tests/optimise/mnfs."""

from __future__ import annotations

from ebpfnf.tables.types import PROTOCOLS as NUMBERS
from tests.models.base import NEXT, TX, Verdict


class Model:
    """The model of echo."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        return TX if packet.flow.proto == NUMBERS[cfg["proto"]] else NEXT
