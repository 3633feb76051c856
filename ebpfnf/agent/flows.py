"""How many packets entered each stage: not counted, but derived from what ended before it."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import TopologicalSorter

from ebpfnf.agent.manifest import Manifest
from ebpfnf.agent.seen import Generation, Totals

_ENDS = frozenset({"drop", "pass", "tx", "redirect", "fault"})


def totals(generation: Generation) -> Totals:
    """A generation's sums by name."""
    if generation.manifest is None:
        return Totals()
    counters: dict[str, int] = {}
    for counter in generation.manifest.counters:
        counters[counter.name] = counters.get(counter.name, 0) + generation.counts[counter.index]
    return Totals(counters, stage_inputs(generation.manifest, generation.counts))


def stage_inputs(manifest: Manifest, counts: Sequence[int]) -> dict[str, int]:
    """Packets that entered each stage, by its id, summed over the places where it stands."""
    inputs = position_inputs(manifest, counts)
    stages = {str(stage["id"]): 0 for stage in manifest.stages}
    for position in manifest.positions:
        stages[str(position["stage"])] = stages.get(str(position["stage"]), 0) + inputs[int(position["index"])]
    return stages


def position_inputs(manifest: Manifest, counts: Sequence[int]) -> dict[int, int]:
    """Packets that entered each position.

    What enters either ends there or leaves by an outcome, and both are counted; the rest leaves by NEXT. Behind a VM, which may
    make several packets of one or none, what goes on is counted itself. Counters are read while packets run, so a difference may
    come out a few below nothing: it is nothing.
    """
    ended: dict[int, int] = {}
    left: dict[tuple[int, str], int] = {}
    entered: dict[str, int] = {}
    behind_vm: dict[int, int] = {}
    for counter in manifest.counters:
        count = counts[counter.index]
        if counter.kind == "entered":
            entered[counter.chain] = entered.get(counter.chain, 0) + count
        elif counter.kind in ("returned", "bypassed"):
            behind_vm[counter.position] = behind_vm.get(counter.position, 0) + count
        elif counter.kind == "outcome":
            way = (counter.position, counter.name.rsplit(".", 1)[-1])
            left[way] = left.get(way, 0) + count
        elif counter.name == f"chain.{counter.chain}.fragment":  # ends between the chain's entry and its first stage
            entered[counter.chain] = entered.get(counter.chain, 0) - count
        elif counter.kind in _ENDS and counter.position >= 0:
            ended[counter.position] = ended.get(counter.position, 0) + count
    inputs = {int(position["index"]): 0 for position in manifest.positions}
    for chain in manifest.chains:
        if int(chain["entry"]) in inputs:
            inputs[int(chain["entry"])] = max(0, entered.get(str(chain["name"]), 0))
    order: TopologicalSorter[int] = TopologicalSorter({index: () for index in inputs})  # the optimiser may move positions
    for link in manifest.links:
        if int(link["target"]) in inputs:
            order.add(int(link["target"]), int(link["source"]))
    for index in order.static_order():
        by_outcome = sum(count for (source, _), count in left.items() if source == index)
        straight = behind_vm.get(index, max(0, inputs[index] - ended.get(index, 0) - by_outcome))
        for link in manifest.links:
            if int(link["source"]) == index and int(link["target"]) in inputs:
                outcome = str(link["outcome"])
                inputs[int(link["target"])] += straight if outcome == "NEXT" else left.get((index, outcome), 0)
    return inputs
