"""What a packet is expected to cost in a bundle."""

from __future__ import annotations

from collections import defaultdict

from ebpfnf.generate.costs import VM, Costs
from ebpfnf.model import BESIDE, Bundle


def expected(bundle: Bundle, costs: Costs) -> dict[str, float]:
    """Ns of a packet that goes straight through each chain, of the dearest class where its path parts, without what VMs do.

    A position that another one serves costs nothing; of those beside the path the first costs a copy, the others nothing. What comes
    back from a VM enters by a program of its own.
    """
    machines = {vm.stage for vm in bundle.vms}
    names = {stage["id"]: VM if stage["id"] in machines else stage["mnf"] for stage in bundle.stages}
    hop = costs.hop(sum(program.name.startswith("seg_") for program in bundle.programs))
    parts = {p["index"] for p in bundle.positions if p["stage"].startswith("chain.")}
    onward: dict[int, list[int]] = defaultdict(list)
    for link in bundle.links:
        if link["target"] >= 0 and (link["outcome"] == "NEXT" or link["source"] in parts):
            onward[link["source"]].append(link["target"])
    from_here: dict[int, tuple[float, int]] = {}  # position -> ns from there on, and the first program that does any of it
    for position in reversed(bundle.positions):  # in the order of the files, in which links go forward
        index, copied_in = position["index"], position.get("copied_in")
        here = position["segment"] if copied_in is None else copied_in
        rest, first = max((from_here[target] for target in onward[index]), default=(0.0, -1))
        if here >= 0:
            hops = first >= 0 and (first != here or position["stage"] in machines)
            rest += costs.of(names[position["stage"]] if copied_in is None else BESIDE) + hop * hops
        from_here[index] = rest, here if here >= 0 else first
    found = {}
    for chain in bundle.chains:
        rest, first = from_here[chain["entry"]] if chain["entry"] >= 0 else (0.0, -1)
        found[chain["name"]] = costs.entry + rest + (hop if first > 0 else 0.0)
    return found
