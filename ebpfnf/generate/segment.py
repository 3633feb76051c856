"""Which positions are fused into one program. The generator takes any segmentation; these are the ones that an operator names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate

from ebpfnf.errors import GenerateError
from ebpfnf.generate.costs import SHIPPED, VM, Costs
from ebpfnf.model import BESIDE, Graph, Segments

MAX_TAIL_CALLS = 32  # 33 by the kernel's count, one of which is the root's
MAX_VERIFIED = 900_000  # of the kernel's million instructions: estimates add up what is verified in one mNF alone


def segment(graph: Graph, granularity: str, costs: Costs = SHIPPED) -> Segments:
    """`chain`: one program in all; `vnf`: one for each VNF of a chain; `mnf`: one for each position; `auto`: what costs least.

    GenerateError when a packet could need more tail calls than the kernel allows.
    """
    if granularity == "chain":
        return _chain(graph)
    if granularity == "auto":
        return cheapest(graph, costs)

    segments = _pieces(graph, granularity)
    for chain, calls in _calls(graph, segments).items():
        if calls > MAX_TAIL_CALLS:
            where = next(each.where for each in graph.deployment.chains if each.name == chain)
            cure = "use granularity: chain or vnf"
            raise GenerateError(f"chain '{chain}' needs {calls} tail calls, the kernel allows {MAX_TAIL_CALLS}", where, cure)
    return segments


def _pieces(graph: Graph, granularity: str) -> Segments:
    """A program for each mNF, or for the neighbours of one VNF. Where a path parts is only a jump: it goes with what is before it."""
    parts = partings(graph)
    entry: list[int] = []
    groups: list[list[int]] = []
    last: tuple[str, int] | None = None
    for position in graph.positions:
        key = position.chain, position.index if granularity == "mnf" else position.vnf_index
        if position.index in parts:
            (groups[-1] if last and last[0] == position.chain else entry).append(position.index)
        elif key == last:
            groups[-1].append(position.index)
        else:
            groups.append([position.index])
            last = key
    return Segments((tuple(entry), *map(tuple, groups)))


def cheapest(graph: Graph, costs: Costs, alone: frozenset[str] = frozenset()) -> Segments:
    """The segmentation with the fewest expected ns over all chains, among those that cut the topological order into pieces.

    `alone`: stages that get a program of their own. GenerateError where one mNF is more than the verifier takes, or no cut needs few
    enough tail calls.
    """
    found = [Segments(cut) for cut in _cuts(graph, costs, alone)]
    legal = [segments for segments in found if max(_calls(graph, segments).values(), default=0) <= MAX_TAIL_CALLS]
    if not legal:
        cure = "make bodies smaller, or paths shorter"
        raise GenerateError(f"deployment '{graph.deployment.name}' fits no segmentation that the kernel would take", cure=cure)
    return min(legal, key=lambda segments: (sum(expected(graph, segments, costs).values()), len(segments.groups)))


def _cuts(graph: Graph, costs: Costs, alone: frozenset[str]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """For each number of programs the cut with the fewest hops, by dynamic programming; the entry's own piece may be empty."""
    behind = behind_vms(graph)
    order = sorted(graph.positions, key=lambda position: position.index in behind)  # topological too: none of them leads back
    place = {p.index: i for i, p in enumerate(order)}
    names = _names(graph)
    steps = list(accumulate((costs.steps(names[p.stage]) for p in order), initial=0))
    single = list(accumulate((p.stage in alone for p in order), initial=0))
    parts, machines = partings(graph), vm_positions(graph)
    came = [-1 if p.index in graph.entries.values() else i for i, p in enumerate(order)]  # where the straight way in comes from
    for link in graph.links:
        if link.target >= 0 and (link.outcome == "NEXT" or link.source in parts) and link.source not in machines:
            came[place[link.target]] = min(came[place[link.target]], place[link.source])

    def fits(begin: int, end: int, entry: bool) -> bool:
        if entry and end > len(order) - len(behind):
            return False
        return steps[end] - steps[begin] <= MAX_VERIFIED and (single[end] == single[begin] or (end - begin == 1 and not entry))

    row = {end: (0, 0) for end in range(len(order) + 1) if fits(0, end, True)}  # positions placed -> (hops, where the last piece begins)
    rows = [row]
    while row and len(rows) <= len(order) + 1:
        if len(order) in row:
            cut, end = [], len(order)
            for each in reversed(rows):
                begin = each[end][1]
                cut.append(tuple(position.index for position in order[begin:end]))
                end = begin
            yield tuple(cut[::-1])
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


def _calls(graph: Graph, segments: Segments) -> dict[str, int]:
    """Tail calls that a packet of each chain needs at most, on whichever way."""
    home = {index: k for k, group in enumerate(segments.groups) for index in group}
    after: dict[int, list[int]] = defaultdict(list)
    for link in graph.links:
        if link.target >= 0:
            after[link.source].append(link.target)
    calls: dict[int, int] = {}
    for position in reversed(graph.positions):  # links go forward only
        here = home[position.index]
        calls[position.index] = max((calls[target] + (home[target] != here) for target in after[position.index]), default=0)
    return {chain: calls[entry] + (home[entry] != 0) if entry >= 0 else 0 for chain, entry in graph.entries.items()}


def expected(graph: Graph, segments: Segments, costs: Costs) -> dict[str, float]:
    """Ns of a packet that goes straight through each chain, without what VMs do; where its path parts, of the dearest class."""
    names = _names(graph)
    home = {index: k for k, group in enumerate(segments.groups) for index in group}
    hop = costs.hop(len(segments.groups))
    onward: dict[int, list[int]] = defaultdict(list)
    parts, machines = partings(graph), vm_positions(graph)
    for link in graph.links:
        if link.target >= 0 and (link.outcome == "NEXT" or link.source in parts):
            onward[link.source].append(link.target)
    found: dict[int, float] = {}
    for position in reversed(graph.positions):  # links go forward only
        here = -1 if position.index in machines else home[position.index]  # what comes back enters by a program of its own
        rest = max((found[target] + (hop if home[target] != here else 0.0) for target in onward[position.index]), default=0.0)
        found[position.index] = costs.of(BESIDE if position.index in graph.beside else names[position.stage]) + rest
    entries = {chain: (found[at] + (hop if home[at] else 0.0) if at >= 0 else 0.0) for chain, at in graph.entries.items()}
    return {chain.name: costs.entry + entries[chain.name] for chain in graph.deployment.chains}


def _names(graph: Graph) -> dict[str, str]:
    """By which a profile knows the stages."""
    return {stage.id: stage.mnf.name if stage.mnf.runs_in == "xdp" else VM for stage in graph.stages}


def _chain(graph: Graph) -> Segments:
    """One program; where chains lead through VMs a second one."""
    behind = behind_vms(graph)
    groups = [tuple(p.index for p in graph.positions if (p.index in behind) is late) for late in (False, True)]
    return Segments((groups[0], groups[1]) if behind else (groups[0],))


def partings(graph: Graph) -> frozenset[int]:
    """Positions where a path parts by classes."""
    stages = {stage.id for stage in graph.stages if not stage.mnf.folder}
    return frozenset(position.index for position in graph.positions if position.stage in stages)


def behind_vms(graph: Graph) -> frozenset[int]:
    """Positions that packets from VMs may come to: not in the first program, for such a packet must not enter by parse and classify."""
    machines = vm_positions(graph)
    behind: set[int] = set()
    for position in graph.positions:  # links go forward only
        if any(k.target == position.index and (k.source in machines or k.source in behind) for k in graph.links):
            behind.add(position.index)
    return frozenset(behind)


def vm_positions(graph: Graph) -> frozenset[int]:
    """Positions of stages that run in VMs."""
    machines = {stage.id for stage in graph.stages if stage.mnf.runs_in != "xdp"}
    return frozenset(position.index for position in graph.positions if position.stage in machines)
