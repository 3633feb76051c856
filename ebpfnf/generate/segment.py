"""Which positions are fused into one program. The generator takes any segmentation; these are the ones that an operator names."""

from __future__ import annotations

from itertools import groupby

from ebpfnf.errors import GenerateError
from ebpfnf.model import Graph, Position, Segments

MAX_TAIL_CALLS = 32  # 33 by the kernel's count, one of which is the root's


def segment(graph: Graph, granularity: str) -> Segments:
    """`chain`: one program in all; `vnf`: one for each VNF of a chain; `mnf`: one for each position.

    GenerateError when a packet could need more tail calls than the kernel allows.
    """
    if granularity == "chain":
        return _chain(graph)

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
