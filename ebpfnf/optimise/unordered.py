"""Find neighbours whose order does not matter: a segmentation may cut and reorder them as it likes."""

from __future__ import annotations

from ebpfnf.model import Fields, Graph
from ebpfnf.optimise.certificate import Step
from ebpfnf.optimise.effects import conflict
from ebpfnf.optimise.legality import Law


def group_unordered(graph: Graph, fields: Fields) -> tuple[Step, ...]:
    """Its groups: straight runs, as long as all members commute with each other."""
    law = Law(graph, fields)
    groups: list[list[int]] = []
    grouped: set[int] = set()
    for position in graph.positions:
        if position.index in grouped:
            continue
        group = [position.index]
        while (following := straight(law, group[-1])) is not None:
            if any(conflict(law.effects[member], law.effects[following]) for member in group):
                break
            group.append(following)
        grouped |= set(group)
        if len(group) > 1:
            groups.append(group)
    return tuple(Step("unordered", tuple(group), "none of them writes what another uses, nor ends what another counts") for group in groups)


def straight(law: Law, index: int) -> int | None:
    """The one position that all packets come to from here, and only from here, and which leads to one place itself."""
    targets = law.goes_on_to(index)
    if len(targets) != 1 or min(targets) < 0:
        return None
    (following,) = targets
    return following if law.sources[following] == {index} and len(law.goes_on_to(following)) == 1 else None
