"""What a deployment's VMs tell of themselves, for `status`: each machine, and what taps refused as the stage's own drops."""

from __future__ import annotations

from typing import Any

from ebpfnf.agent import machines, vms
from ebpfnf.agent.seen import Observed, Totals
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Pins
from ebpfnf.model import Vm
from ebpfnf.vm import lifecycle, tap
from ebpfnf.vm.crew import crew
from ebpfnf.vm.lifecycle import Name


def rows(seen: Observed) -> list[dict[str, Any]]:
    """Each machine of the live generation's stages as JSON's types; a guest that runs is asked for its counters."""
    needed = seen.needs.get(seen.live, ())
    if not needed:
        return []
    at, states = Pins(seen.deployment), {name: each.state for name, each in seen.machines.items()}
    with Map.open(at.generation(seen.live).vm_state) as state:
        serving = {vm.number: vms.serving(state, vm.number) for vm in needed}
    return [
        _row(vm, name, seen, serving[vm.number])
        for vm in needed
        for name in dict.fromkeys((*lifecycle.names(seen.deployment, vm), *crew(seen.deployment, vm, states).surplus))
    ]


def _row(vm: Vm, name: Name, seen: Observed, serving: vms.Serving) -> dict[str, Any]:
    found, there = seen.machines.get(str(name)), lifecycle.ifindex(name)
    state = found.state if found else "gone"
    role = {there in serving.taking: "serves", there in serving.leaving: "leaves", state == "paused": "stands by"}.get(True, "")
    return {
        "name": str(name),
        "stage": vm.stage,
        "state": state,
        "role": role,
        "on_failure": vm.on_failure,
        "accelerator": found.accelerator if found else "",
        "about": found.about if found else "",
        "flows": seen.flows.get(str(name), 0),
        "tap_dropped": tap.refused(name.tap),
        "counters": lifecycle.counters(name) if state == "running" else {},
    }


def refused(told: list[dict[str, Any]]) -> Totals:
    """What the taps of these machines refused, as drops of their stages; what others did before is in the sums."""
    sums = Totals()
    for row in told:
        sums = sums.plus(Totals({machines.tap_full(row["stage"]): row["tap_dropped"]}))
    return sums


def warnings(seen: Observed) -> list[str]:
    """What is missing of the live generation's machines."""
    found = []
    for vm in seen.needs.get(seen.live, ()):
        for name in map(str, lifecycle.names(seen.deployment, vm)):
            state = seen.machines[name].state if name in seen.machines else "gone"
            if state not in ("running", "paused"):
                found.append(f"virtual machine '{name}' is {state}: 'ebpfnf watch' or a deploy starts it")
    return found
