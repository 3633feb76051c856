"""From the graph that VNFs expand to, to one that does the same with less; and the proof of it."""

from __future__ import annotations

from ebpfnf.model import Fields, Graph
from ebpfnf.optimise.beside import set_aside
from ebpfnf.optimise.certificate import Certificate, Step, digest
from ebpfnf.optimise.checker import check
from ebpfnf.optimise.consolidate import consolidate
from ebpfnf.optimise.dead import drop_dead
from ebpfnf.optimise.early import end_early
from ebpfnf.optimise.remember import remember
from ebpfnf.optimise.unordered import group_unordered

__all__ = ["PASSES", "Certificate", "Step", "check", "digest", "optimise"]

PASSES = (consolidate, drop_dead, end_early)


def optimise(graph: Graph, fields: Fields, level: str = "chain") -> tuple[Graph, Certificate]:
    """The graph after all passes, and the certificate that `check` asks for. `level`: the granularity, or `off` for none of it.

    What one pass takes away may let another go on, so they are run until none finds anything; what they refuse is what is left then.
    """
    before, steps = digest(graph), list[Step]()
    if level == "off":
        return graph, Certificate(before, before)
    while True:
        found, refused = list[Step](), list[Step]()
        for each in PASSES:
            graph, done, left = each(graph, fields, level)
            found += done
            refused += left
        if not found:
            steps += group_unordered(graph, fields)
            graph, done, left = set_aside(graph, fields)
            steps += done
            refused += left
            if graph.deployment.flow_cache:
                graph, done, left = remember(graph, fields)
                steps += done
                refused += left
            return graph, Certificate(before, digest(graph), tuple(steps), tuple(refused))
        steps += found
