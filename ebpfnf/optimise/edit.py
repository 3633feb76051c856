"""Steps on a graph. Whether they are legal is asked elsewhere."""

from __future__ import annotations

from dataclasses import replace

from ebpfnf.model import EXIT, Graph, Link


def swap(graph: Graph, first: int, second: int) -> Graph:
    """`second`, to which `first` leads, comes before it."""
    (after,) = {link.target for link in graph.links if link.source == second and link.target >= EXIT}
    lead = {first: after, second: first}

    def moved(link: Link) -> Link:
        if link.source in lead:
            return replace(link, target=lead[link.source]) if link.target >= EXIT else link
        return replace(link, target=second) if link.target == first else link

    positions = [position for position in graph.positions if position.index != second]
    place = next(k for k, position in enumerate(positions) if position.index == first)
    mover = next(position for position in graph.positions if position.index == second)
    return replace(
        graph,
        positions=(*positions[:place], mover, *positions[place:]),
        links=tuple(map(moved, graph.links)),
        entries={chain: second if entry == first else entry for chain, entry in graph.entries.items()},
        unoptimised=graph.meaning,
    )


def remove(graph: Graph, index: int) -> Graph:
    """What led to the position leads to where it leads."""
    (after,) = {link.target for link in graph.links if link.source == index and link.target >= EXIT}
    positions = tuple(position for position in graph.positions if position.index != index)
    used = {position.stage for position in positions}
    return replace(
        graph,
        stages=tuple(stage for stage in graph.stages if stage.id in used),
        positions=positions,
        links=tuple(replace(link, target=after) if link.target == index else link for link in graph.links if link.source != index),
        entries={chain: after if entry == index else entry for chain, entry in graph.entries.items()},
        unoptimised=graph.meaning,
    )


def set_beside(graph: Graph, run: tuple[int, ...]) -> Graph:
    """Of a straight run the first position stays, as the place where its packets are copied."""
    (after,) = {link.target for link in graph.links if link.source == run[-1]}
    place = {position.index: position for position in graph.positions}
    return replace(
        graph,
        positions=tuple(position for position in graph.positions if position.index not in run[1:]),
        links=tuple(replace(link, target=after) if link.source == run[0] else link for link in graph.links if link.source not in run[1:]),
        unoptimised=graph.meaning,
        beside={**graph.beside, run[0]: tuple(place[index] for index in run)},
    )
