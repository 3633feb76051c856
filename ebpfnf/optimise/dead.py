"""Take out what only writes what nobody uses: metadata that is not read, bytes that are overwritten or dropped."""

from __future__ import annotations

from ebpfnf.model import Fields, Graph
from ebpfnf.optimise import edit
from ebpfnf.optimise.certificate import Step
from ebpfnf.optimise.legality import Law


def drop_dead(graph: Graph, fields: Fields, granularity: str) -> tuple[Graph, tuple[Step, ...], tuple[Step, ...]]:
    """The graph without such positions. From the back: what only a dead one used is dead too."""
    steps = []
    for position in reversed(graph.positions):
        law = Law(graph, fields)
        if not law.no_drop(position.index):
            written = ", ".join(f"'{name}'" for name in sorted(law.effects[position.index].writes))
            steps.append(Step("drop", (position.index,), f"nothing uses {written} behind it" if written else "it does nothing"))
            graph = edit.remove(graph, position.index)
    return graph, tuple(steps), ()
