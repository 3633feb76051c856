"""What a packet is expected to cost in a bundle."""

from __future__ import annotations

from ebpfnf.generate.costs import Costs
from ebpfnf.model import EXIT, Bundle


def expected(bundle: Bundle, costs: Costs) -> dict[str, float]:
    """Ns of a packet that goes straight through each chain; a position that another one serves costs nothing."""
    mnfs = {stage["id"]: stage["mnf"] for stage in bundle.stages}
    positions = {p["index"]: p for p in bundle.positions}
    straight = {k["source"]: k["target"] for k in bundle.links if k["outcome"] == "NEXT"}
    hop = costs.hop(len(bundle.programs))
    found = {}
    for chain in bundle.chains:
        total, here, at = costs.entry, 0, chain["entry"]
        while at >= 0:
            position = positions[at]
            if position["segment"] >= 0:
                total += costs.of(mnfs[position["stage"]]) + (hop if position["segment"] != here else 0.0)
                here = position["segment"]
            at = straight.get(at, EXIT)
        found[chain["name"]] = total
    return found
