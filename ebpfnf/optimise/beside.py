"""Set aside what may miss packets and only looks: a copy of the packet goes to another CPU, and the packet goes on."""

from __future__ import annotations

from collections.abc import Container

from ebpfnf.model import Fields, Graph
from ebpfnf.optimise import edit
from ebpfnf.optimise.certificate import Step
from ebpfnf.optimise.legality import Law
from ebpfnf.optimise.unordered import straight

_WHY = "may miss packets, ends none, changes none, and nothing behind uses what it writes"


def set_aside(graph: Graph, fields: Fields) -> tuple[Graph, tuple[Step, ...], tuple[Step, ...]]:
    """The graph with its lossy instances beside the path, and what keeps those on it that must stay. The last of all passes.

    An instance stands beside the path in all chains or in none: who reads the copies is then alone with its tables.
    """
    law, refused = Law(graph, fields), dict[str, Step]()
    while True:
        runs = _runs(law, refused)
        why = {index: law.no_beside(index, run) for run in runs for index in run}
        if not any(why.values()):
            break
        refused |= {law.stages[law.at[index].stage].instance: Step("beside", (index,), no) for index, no in why.items() if no}
    for run in runs:
        graph = edit.set_beside(graph, run)
    return graph, tuple(Step("beside", run, _WHY) for run in runs), tuple(refused.values())


def _runs(law: Law, without: Container[str]) -> list[tuple[int, ...]]:
    """Straight runs of lossy positions, as long as they can be: one copy serves all of a run."""

    def may(index: int) -> bool:
        stage = law.stages[law.at[index].stage]
        return stage.lossy and stage.instance not in without

    runs: list[tuple[int, ...]] = []
    for position in law.graph.positions:
        if may(position.index) and not any(position.index in run for run in runs):
            run = [position.index]
            while (following := straight(law, run[-1])) is not None and may(following):
                run.append(following)
            runs.append(tuple(run))
    return runs
