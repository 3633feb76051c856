"""From the graph that VNFs expand to, to one that does the same with less; and the proof of it."""

from __future__ import annotations

from ebpfnf.model import Fields, Graph
from ebpfnf.optimise.certificate import Certificate, Step, digest
from ebpfnf.optimise.checker import check
from ebpfnf.optimise.consolidate import consolidate
from ebpfnf.optimise.dead import drop_dead
from ebpfnf.optimise.early import end_early
from ebpfnf.optimise.unordered import group_unordered

__all__ = ["PASSES", "Certificate", "Step", "check", "digest", "optimise"]

PASSES = (consolidate, drop_dead, end_early, group_unordered)


def optimise(graph: Graph, fields: Fields, level: str = "chain") -> tuple[Graph, Certificate]:
    """The graph after all passes, and the certificate that `check` asks for. `level`: the granularity, or `off` for none of it."""
    before, steps, refused = digest(graph), list[Step](), list[Step]()
    for each in PASSES if level != "off" else ():
        graph, done, left = each(graph, fields, level)
        steps += done
        refused += left
    return graph, Certificate(before, digest(graph), tuple(steps), tuple(refused))
