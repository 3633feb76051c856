"""source: see tests/optimise/mnfs."""

from __future__ import annotations

from ebpfnf.tables.types import ip_bytes
from tests.models.base import NEXT, Verdict


class Model:
    """The model of source."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        packet.set("ip.src", ip_bytes(cfg["addr"]))
        return NEXT
