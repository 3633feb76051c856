"""Who of a stage's machines serves, stands by, wakes, starts or leaves: decided in one place, for the plan and for the deed.

`instances` machines serve, `standby` more are there paused. Which are which is not written down: a running machine serves, a paused one
stands by. What is too much takes no new flow, and stays for those that it knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ebpfnf.model import Vm
from ebpfnf.vm import lifecycle
from ebpfnf.vm.lifecycle import Name


@dataclass(frozen=True, slots=True)
class Crew:
    """The machines of one stage, by what they shall do."""

    serve: tuple[Name, ...] = ()  # run already
    wake: tuple[Name, ...] = ()  # stand by, and shall serve
    start: tuple[Name, ...] = ()  # are not here, and shall serve
    standby: tuple[Name, ...] = ()  # are not here, and shall stand by
    surplus: tuple[Name, ...] = ()  # run, and shall end when their flows have ended

    @property
    def complete(self) -> bool:
        """Whether nothing has to be started."""
        return not (self.wake or self.start or self.standby)


def crew(deployment: str, vm: Vm, states: Mapping[str, str]) -> Crew:
    """From what is here (name -> running, paused, ...) to what each shall do."""
    names = lifecycle.names(deployment, vm)
    running = [name for name in names if states.get(str(name)) == "running"]
    paused = [name for name in names if states.get(str(name)) == "paused"]
    missing = [name for name in names if name not in running and name not in paused]
    lacking = max(0, vm.instances - len(running))
    absent = max(0, lacking - len(paused))
    kin = [name for name in lifecycle.kin(deployment, vm) if states.get(str(name)) == "running"]
    surplus = [name for name in kin if name not in running[: vm.instances]]
    standby = missing[absent:][: max(0, vm.instances + vm.standby - len(running) - len(paused) - absent)]
    return Crew(tuple(running[: vm.instances]), tuple(paused[:lacking]), tuple(missing[:absent]), tuple(standby), tuple(surplus))


def unneeded(deployment: str, machines: Sequence[Vm], states: Mapping[str, str], flows: Mapping[str, int]) -> tuple[str, ...]:
    """Machines that these stages do without: of no stage any more, or too many and known to no flow."""
    stay: set[str] = set()
    for vm in machines:
        found = crew(deployment, vm, states)
        resting = {str(name) for name in found.surplus if not flows.get(str(name))}
        stay |= {str(name) for name in (*lifecycle.names(deployment, vm), *found.surplus)} - resting
    return tuple(sorted(set(states) - stay))
