"""Which positions are fused into one program. The generator takes any segmentation; these are the ones that an operator names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, groupby

from ebpfnf.errors import GenerateError
from ebpfnf.generate.costs import SHIPPED, Costs
from ebpfnf.model import Graph, Position, Segments

MAX_TAIL_CALLS = 32  # 33 by the kernel's count, one of which is the root's
MAX_VERIFIED = 900_000  # of the kernel's million instructions: estimates add up what is verified in one mNF alone


def segment(graph: Graph, granularity: str, costs: Costs = SHIPPED) -> Segments:
    """`chain`: one program in all; `vnf`: one for each VNF of a chain; `mnf`: one for each position; `auto`: what costs least.

    GenerateError when a packet could need more tail calls than the kernel allows.
    """
    if granularity == "chain" or (granularity == "auto" and vm_positions(graph)):
        return _chain(graph)
    if granularity == "auto":
        return cheapest(graph, costs)

    def vnf(position: Position) -> tuple[str, int]:
        return position.chain, position.vnf_index

    groups = [tuple(p.index for p in members) for _, members in groupby(graph.positions, key=vnf)]
    if granularity == "mnf":
        groups = [(index,) for group in groups for index in group]
    segments = Segments(((), *groups))
    for chain in graph.deployment.chains:
        inside = {p.index for p in graph.positions if p.chain == chain.name}
        calls = sum(1 for group in groups if inside & set(group))
        if calls > MAX_TAIL_CALLS:
            cure = "use granularity: chain or vnf"
            raise GenerateError(f"chain '{chain.name}' needs {calls} tail calls, the kernel allows {MAX_TAIL_CALLS}", chain.where, cure)
    return segments


def cheapest(graph: Graph, costs: Costs, alone: frozenset[str] = frozenset()) -> Segments:
    """The segmentation with the fewest expected ns over all chains, among those that cut the topological order into pieces.

    `alone`: stages that get a program of their own. GenerateError where one mNF is more than the verifier takes, or no cut needs few
    enough tail calls.
    """
    found = [Segments(tuple(tuple(graph.positions[i].index for i in piece) for piece in cut)) for cut in _cuts(graph, costs, alone)]
    legal = [segments for segments in found if _calls(graph, segments) <= MAX_TAIL_CALLS]
    if not legal:
        cure = "make bodies smaller, or paths shorter"
        raise GenerateError(f"deployment '{graph.deployment.name}' fits no segmentation that the kernel would take", cure=cure)
    return min(legal, key=lambda segments: (sum(expected(graph, segments, costs).values()), len(segments.groups)))


def _cuts(graph: Graph, costs: Costs, alone: frozenset[str]) -> Iterator[list[range]]:
    """For each number of programs the cut with the fewest hops, by dynamic programming; the entry's own piece may be empty."""
    order = graph.positions
    place = {p.index: i for i, p in enumerate(order)}
    mnf = {stage.id: stage.mnf.name for stage in graph.stages}
    steps = list(accumulate((costs.steps(mnf[p.stage]) for p in order), initial=0))
    single = list(accumulate((p.stage in alone for p in order), initial=0))
    came = [-1 if p.index in graph.entries.values() else i for i, p in enumerate(order)]  # where the straight way in comes from
    for link in graph.links:
        if link.outcome == "NEXT" and link.target >= 0:
            came[place[link.target]] = place[link.source]

    def fits(begin: int, end: int, entry: bool) -> bool:
        return steps[end] - steps[begin] <= MAX_VERIFIED and (single[end] == single[begin] or (end - begin == 1 and not entry))

    row = {end: (0, 0) for end in range(len(order) + 1) if fits(0, end, True)}  # positions placed -> (hops, where the last piece begins)
    rows = [row]
    while row and len(rows) <= len(order) + 1:
        if len(order) in row:
            cut, end = [], len(order)
            for each in reversed(rows):
                begin = each[end][1]
                cut.append(range(begin, end))
                end = begin
            yield cut[::-1]
        following: dict[int, tuple[int, int]] = {}
        for begin, (hops, _) in row.items():
            for end in range(begin + 1, len(order) + 1):
                if not fits(begin, end, False):
                    continue
                cost = hops + sum(1 for i in range(begin, end) if came[i] < begin)
                if end not in following or cost < following[end][0]:
                    following[end] = cost, begin
        row = following
        rows.append(row)


def _calls(graph: Graph, segments: Segments) -> int:
    """Tail calls that a packet needs at most."""
    chains = {p.index: p.chain for p in graph.positions}
    return max((sum(1 for g in segments.groups[1:] if any(chains[i] == c.name for i in g)) for c in graph.deployment.chains), default=0)


def expected(graph: Graph, segments: Segments, costs: Costs) -> dict[str, float]:
    """Ns of a packet that goes straight through each chain."""
    mnf = {stage.id: stage.mnf.name for stage in graph.stages}
    stage = {p.index: p.stage for p in graph.positions}
    home = {index: k for k, group in enumerate(segments.groups) for index in group}
    straight = {k.source: k.target for k in graph.links if k.outcome == "NEXT"}
    found = {}
    for chain in graph.deployment.chains:
        total, here, at = costs.entry, 0, graph.entries[chain.name]
        while at >= 0:
            total += costs.of(mnf[stage[at]]) + (costs.hop(len(segments.groups)) if home[at] != here else 0.0)
            here, at = home[at], straight.get(at, -1)
        found[chain.name] = total
    return found


def _chain(graph: Graph) -> Segments:
    """One program; where chains lead through VMs a second one, for a packet that comes back must not enter by parse and classify."""
    machines = vm_positions(graph)
    behind: set[int] = set()
    for position in graph.positions:  # links go forward only
        if any(k.target == position.index and (k.source in machines or k.source in behind) for k in graph.links):
            behind.add(position.index)
    groups = [tuple(p.index for p in graph.positions if (p.index in behind) is late) for late in (False, True)]
    return Segments((groups[0], groups[1]) if behind else (groups[0],))


def vm_positions(graph: Graph) -> frozenset[int]:
    """Positions of stages that run in VMs."""
    machines = {stage.id for stage in graph.stages if stage.mnf.runs_in != "xdp"}
    return frozenset(position.index for position in graph.positions if position.stage in machines)
