"""The watch over a deployment's VMs: who does not serve is left out at once, one that stands by takes its place, and it is started again.

libvirt is not asked here, but by a process that ends: who watches must not hold what a deployment needs. Nothing is kept but how long to
wait before the next try; what serves is read anew in every round.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ebpfnf.agent import apply, journal, machines, observe, retired, vms
from ebpfnf.agent.seen import Totals
from ebpfnf.errors import Busy, EbpfnfError
from ebpfnf.kernel.pins import Generation, Pins
from ebpfnf.model import Vm
from ebpfnf.vm import health, lifecycle, tap
from ebpfnf.vm.health import Watched
from ebpfnf.vm.lifecycle import Name

_TIDY = 2.0  # seconds between two looks for machines whose flows have ended
_LONGEST = 30.0  # ... between two tries to start a VM that does not stay
_PATIENCE = 5.0  # ... for another change to end
FAILED, STARTED = "vm_failed", "vm_started_again"  # counters of an instance

Emit = Callable[[str, Mapping[str, Any]], None]


@dataclass(slots=True)
class Care:
    """For one deployment's VMs. `ask` under its lock, then `repair` without."""

    deployment: str
    emit: Emit
    wanting: set[str] = field(default_factory=set)  # machines and stages that are not as they shall be
    _watched: dict[Name, Watched] = field(default_factory=dict)
    _broken: set[Name] = field(default_factory=set)
    _tries: dict[str, tuple[int, float]] = field(default_factory=dict)  # of a machine or stage: how many, and when the next may be
    _tidied: float = 0.0
    _child: int = 0

    def close(self) -> None:
        """Hang up, and wait for what was begun."""
        for each in self._watched.values():
            each.close()
        if self._child:
            os.waitpid(self._child, 0)

    def ask(self, at: Pins, paths: Generation, needed: tuple[Vm, ...]) -> None:
        """All who serve; leave out those that don't."""
        self.wanting = set()
        for vm in needed:
            serving = self._ask(at, paths, vm)
            resting = (name for name in lifecycle.names(self.deployment, vm) if lifecycle.ifindex(name) not in serving)
            self._broken |= {name for name in resting if not tap.held(name.tap)}  # stood by, and ended
            self.wanting |= {str(name) for name in self._broken if name in lifecycle.kin(self.deployment, vm)}
            if len(serving.taking) < vm.instances or self._idle(at, vm, serving):
                self.wanting.add(vm.stage)

    def _ask(self, at: Pins, paths: Generation, vm: Vm) -> vms.Serving:
        """Who serves a stage, after those have been left out that don't."""
        behind = {lifecycle.ifindex(name): name for name in lifecycle.kin(self.deployment, vm)}
        with vms.opened(paths) as maps:
            now = vms.serving(maps.state, vm.number)
            asked = [behind[there] for there in now if there in behind]
            bad = health.failed([self._watched.setdefault(name, Watched(name)) for name in asked])
            for each in bad:
                now = now.without(lifecycle.ifindex(each.name))
                each.silent = 0
                each.close()
            if bad:
                vms.serve(maps, vm.number, now.taking, now.leaving)
        for each in bad:
            self._broken.add(each.name)
            _count(at, vm.stage, FAILED)
            self.emit("left out", {"what": str(each.name), "detail": f"{len(now.taking)} of {vm.instances} virtual machines serve"})
        return now

    def _idle(self, at: Pins, vm: Vm, serving: vms.Serving) -> bool:
        """Whether a machine that shall end has no flow any more: looked at now and then."""
        if not serving.leaving or time.monotonic() < self._tidied + _TIDY:
            return False
        self._tidied = time.monotonic()
        known = machines.known(at, vm)
        return not all(known[there] for there in serving.leaving)

    def repair(self) -> None:
        """What is wanting, unless it was tried a moment ago: each try waits twice as long as the one before."""
        if not self._free():
            return
        now = time.monotonic()
        for text in [t for t, (_, at) in self._tries.items() if t not in self.wanting and at + _LONGEST < now]:
            del self._tries[text]  # it has stayed
        due = {text for text in self.wanting if self._tries.get(text, (0, 0.0))[1] <= now}
        if not due:
            return
        for text in sorted(due):
            tries = self._tries.get(text, (0, 0.0))[0] + 1
            self._tries[text] = (tries, now + min(2.0**tries, _LONGEST))
            self.emit("restart", {"what": text, "detail": f"try {tries}"})
        self.apart(lambda: self._mend([name for name in self._broken if str(name) in due]))

    def apart(self, change: Callable[[], object]) -> None:
        """Make a change in a process of its own, which holds libvirt no longer than that takes; not while another is under way."""
        if not self._free():
            return
        self._child = os.fork()
        if not self._child:
            code = 1
            try:
                _patiently(change)
                code = 0
            except (OSError, EbpfnfError) as error:
                self.emit("failed", {"what": self.deployment, "detail": str(error)})
            finally:
                os._exit(code)

    def _free(self) -> bool:
        """Whether no change is under way; what one that went well was to mend is no more broken."""
        if self._child:
            done, status = os.waitpid(self._child, os.WNOHANG)
            if not done:
                return False
            self._child = 0
            if not status:
                self._broken.clear()
        return True

    def _mend(self, broken: list[Name]) -> None:
        """First who stands by takes the place of who failed; then those are ended, and started again."""
        at = Pins(self.deployment)

        def take_over() -> None:
            with journal.locked(self.deployment):
                machines.boot(at, observe.live_generation(at), without=broken)
                for name in broken:
                    _count(at, name.stage, STARTED)

        if broken:
            _patiently(take_over)
            for name in broken:
                lifecycle.end(name)
        _patiently(lambda: apply.reconcile(self.deployment))


def _count(at: Pins, stage: str, what: str) -> None:
    retired.add(at, Totals({f"{stage.partition('.')[0]}.{what}": 1}))


def _patiently(change: Callable[[], object]) -> None:
    """Do it as soon as nobody else changes the deployment: our own rounds do, for moments."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            change()
            return
        except Busy:
            if time.monotonic() > end:
                raise
        time.sleep(0.01)
