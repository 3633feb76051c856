"""`ebpfnf watch`: a deployment's VMs are asked whether they serve; who does not is left out at once, and started again. Ports that lost
their programs get them back.

Optional: packets flow without it. It keeps nothing but how long to wait before the next try; what is live is read anew in every round.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ebpfnf.agent import apply, functions, journal, machines, manifest, netlink, observe, store, values, vms
from ebpfnf.agent.plan import Options, plan_reconcile
from ebpfnf.agent.seen import Observed
from ebpfnf.errors import AgentError, Busy, EbpfnfError
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Pins
from ebpfnf.vm import lifecycle
from ebpfnf.vm.health import Watched
from ebpfnf.vm.lifecycle import Name

ROUND = 0.05  # seconds between two rounds of questions
_PORTS = 0.5  # seconds between two looks at the ports
_LONGEST = 30.0  # seconds between two tries to start a VM that does not stay

Emit = Callable[[str, Mapping[str, Any]], None]


@dataclass(slots=True)
class Watch:
    """A watch over one deployment; `run` goes on until `ended` is set."""

    deployment: str
    emit: Emit
    ended: threading.Event = field(default_factory=threading.Event)
    _watched: dict[str, Watched] = field(default_factory=dict)
    _tries: dict[str, tuple[int, float]] = field(default_factory=dict)  # how many, and when the next may be
    _child: int = 0
    _looked: float = 0.0  # at the ports
    _alarm: str = ""  # what is wrong with them, as it was told
    _functions: manifest.Manifest | None = None  # of the live generation

    def run(self) -> None:
        """Round after round. A deploy under way has the lock: then this looks again later."""
        while not self.ended.is_set():
            try:
                with journal.locked(self.deployment):
                    broken = self._round()
            except AgentError:
                broken = []
            self._repair(broken)
            if time.monotonic() - self._looked > _PORTS:
                self._mend()
                self._looked = time.monotonic()
            self.ended.wait(ROUND)
        if self._child:
            os.waitpid(self._child, 0)

    def _round(self) -> list[Name]:
        """Ask all; leave out those that do not serve, let in those that do. The former are returned."""
        at, broken = Pins(self.deployment), []
        live = observe.live_generation(at)
        if not live:
            return []
        paths = at.generation(live)
        if self._functions is None or self._functions.generation != live:
            self._functions = manifest.decode(values.read(paths.manifest)[1])
        if self._functions and self._functions.functions:
            for name in functions.refresh(paths, self._functions, netlink.interfaces()):
                self.emit("serve", {"what": name, "detail": "carrier" if name in functions.told(paths, self._functions) else "no carrier"})
        for vm in machines.kept(paths):
            names = lifecycle.names(self.deployment, vm)
            healthy = {name: self._watched.setdefault(str(name), Watched(name)).ask() for name in names}
            broken += [name for name in names if not healthy[name]]
            taps = [lifecycle.ifindex(name) for name in names if healthy[name]]
            with Map.open(paths.vms) as devices, Map.open(paths.vm_state) as state:
                before = vms.serving(state, vm.number)
                if list(before) != taps:
                    vms.serve(devices, state, vm.number, taps)
                    self.emit("serve", {"what": vm.stage, "detail": f"{len(taps)} of {vm.instances} virtual machines serve"})
        return broken

    def _mend(self) -> None:
        """Attach what has lost its link; where an interface is another one now, or all pins are gone, apply what a manager left."""
        try:
            seen = observe.observe(self.deployment)
            kept = None if seen.live and self._attached(seen) else store.kept(self.deployment)
            if kept:
                apply.apply(kept, Options(keep_entries=True), self.emit, trusted=True)
            self._alarm = ""
        except Busy:
            pass
        except (OSError, EbpfnfError) as error:
            if str(error) != self._alarm:
                self._alarm = str(error)
                self.emit("alarm", {"what": self.deployment, "detail": self._alarm})

    def _attached(self, seen: Observed) -> bool:
        """Whether all ports are, perhaps by what was done now. AgentError where they can't be, and no manager left a bundle."""
        try:
            if any(action.verb in ("attach", "replace") for action in plan_reconcile(seen)):  # VMs are started by `_repair`
                apply.reconcile(self.deployment, self.emit)
        except AgentError:
            if store.kept(self.deployment) is None:
                raise
            return False
        return True

    def _repair(self, broken: list[Name]) -> None:
        """Start what is broken again, in a process of its own: it holds libvirt no longer than that takes."""
        if self._child:
            done, _ = os.waitpid(self._child, os.WNOHANG)
            if not done:
                return
            self._child = 0
        for text in [t for t, (_, at) in self._tries.items() if t not in map(str, broken) and at + _LONGEST < time.monotonic()]:
            del self._tries[text]  # it has stayed
        due = [name for name in broken if self._tries.get(str(name), (0, 0.0))[1] <= time.monotonic()]
        if not due:
            return
        for name in due:
            tries = self._tries.get(str(name), (0, 0.0))[0] + 1
            self._tries[str(name)] = (tries, time.monotonic() + min(2.0**tries, _LONGEST))
            self.emit("restart", {"what": str(name), "detail": f"try {tries}"})
        self._child = os.fork()
        if not self._child:
            try:
                for name in due:
                    lifecycle.end(name)
                apply.reconcile(self.deployment)
            except EbpfnfError:
                os._exit(1)
            finally:
                os._exit(0)
