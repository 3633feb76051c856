"""Drop early: what may end a packet goes before work that would then be for nothing."""

from __future__ import annotations

from ebpfnf.model import Fields, Graph
from ebpfnf.optimise import edit
from ebpfnf.optimise.certificate import Step
from ebpfnf.optimise.legality import Law


def end_early(graph: Graph, fields: Fields, granularity: str) -> tuple[Graph, tuple[Step, ...], tuple[Step, ...]]:
    """The graph with each such position as far forward as it may go, one neighbour at a time.

    With a program for each VNF none leaves its VNF: a tail call more would cost what the move saves.
    """
    steps: list[Step] = []
    refused: list[Step] = []
    law = Law(graph, fields)
    for second in [position.index for position in graph.positions if law.effects[position.index].ends]:
        while len(law.sources[second]) == 1:
            (first,) = law.sources[second]
            if law.effects[first].ends:
                break
            why = law.no_swap(first, second)
            if granularity == "vnf" and law.at[first].vnf_index != law.at[second].vnf_index:
                why = why or f"'{law.at[first].stage}' and '{law.at[second].stage}' are in different programs"
            if why:
                refused.append(Step("swap", (first, second), why))
                break
            steps.append(Step("swap", (first, second), f"'{law.at[second].stage}' may end the packet, and the two commute"))
            graph = edit.swap(graph, first, second)
            law = Law(graph, fields)
    return graph, tuple(steps), tuple(refused)
