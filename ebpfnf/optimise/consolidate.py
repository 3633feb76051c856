"""Do once what several VNFs do: the later of two equal mNFs is taken out where the earlier's result is still its own."""

from __future__ import annotations

from ebpfnf.model import Fields, Graph
from ebpfnf.optimise import edit
from ebpfnf.optimise.certificate import Step
from ebpfnf.optimise.legality import Law


def consolidate(graph: Graph, fields: Fields, granularity: str) -> tuple[Graph, tuple[Step, ...], tuple[Step, ...]]:
    """The graph, its merges, and the pairs of equal mNFs that must both stay."""
    steps: list[Step] = []
    refused: list[Step] = []
    law = Law(graph, fields)
    for second in [position.index for position in graph.positions]:
        reasons: list[Step] = []
        for first in _earlier_equals(law, second):
            why = law.no_merge(first, second)
            if not why:
                why = f"same mNF, same parameters, and nothing between writes what '{law.at[second].stage}' uses"
                steps.append(Step("merge", (second, first), why))
                graph = edit.remove(graph, second)
                law = Law(graph, fields)
                reasons = []
                break
            reasons.append(Step("merge", (second, first), why))
        refused += reasons[-1:]  # the nearest says most
    return graph, tuple(steps), tuple(refused)


def _earlier_equals(law: Law, second: int) -> list[int]:
    """Positions before this one in its chain that do the same: the same mNF with the same parameters."""
    place = law.at[second]
    own = law.stages[place.stage]
    before = [p for p in law.graph.positions if p.chain == place.chain and second in law.reached(p.index)]
    others = [(p.index, law.stages[p.stage]) for p in before if p.index != second]
    return [index for index, stage in others if stage.mnf == own.mnf and dict(stage.config) == dict(own.config)]
