"""Drop early: what may end a packet goes before work that would then be for nothing, over what has no order with that work."""

from __future__ import annotations

from ebpfnf.model import Fields, Graph
from ebpfnf.optimise import edit
from ebpfnf.optimise.certificate import Step
from ebpfnf.optimise.effects import conflict
from ebpfnf.optimise.legality import Law


def end_early(graph: Graph, fields: Fields, granularity: str) -> tuple[Graph, tuple[Step, ...], tuple[Step, ...]]:
    """The graph in which no work stands before what may end the packet, if it commutes with that and with all that is between.

    With a program for each VNF none leaves its VNF: a tail call more would cost what the move saves.
    """
    steps: list[Step] = []
    refused: list[Step] = []
    law = Law(graph, fields)
    for last in [index for index, own in law.effects.items() if own.ends and not own.away]:
        while run := _work_before(law, last, granularity):
            for other in run[1:]:
                steps.append(Step("swap", (run[0], other), _why(law, run, other)))
                graph = edit.swap(graph, run[0], other)
            law = Law(graph, fields)
        for first in law.sources[last] if len(law.sources[last]) == 1 else ():
            if law.effects[first].away or not law.effects[first].ends:
                why = law.no_swap(first, last)
                refused.append(Step("swap", (first, last), why or f"{_names(law, first, last)} are in different programs"))
    return graph, tuple(steps), tuple(refused)


def _work_before(law: Law, last: int, granularity: str) -> tuple[int, ...]:
    """The nearest work before `last` that may go behind it, all that stands between, and `last`; empty where there is none."""
    run: tuple[int, ...] = (last,)
    while len(law.goes_on_to(run[0])) == 1 and len(law.sources[run[0]]) == 1:
        (first,) = law.sources[run[0]]
        if law.goes_on_to(first) != {run[0]} or law.graph.entries[law.at[last].chain] == run[0]:
            break
        if granularity == "vnf" and law.at[first].vnf_index != law.at[last].vnf_index:
            break
        if not law.effects[first].ends and not any(conflict(law.effects[first], law.effects[other]) for other in run):
            return (first, *run)
        run = (first, *run)
    return ()


def _why(law: Law, run: tuple[int, ...], other: int) -> str:
    """Why the first of a run goes behind another of it."""
    last = f"'{law.at[run[-1]].stage}' may end the packet"
    return f"{last}, and the two commute" if other == run[-1] else f"{last}, and {_names(law, run[0], other)} have no order"


def _names(law: Law, one: int, other: int) -> str:
    return f"'{law.at[one].stage}' and '{law.at[other].stage}'"
