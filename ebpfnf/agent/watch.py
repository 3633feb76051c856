"""`ebpfnf watch`: VMs that fail are left out and started again (care.py), functions of others serve by their carriers, ports that lost
their programs get them back, and copies for mNFs beside the path are read. Optional: packets flow without it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ebpfnf.agent import apply, functions, journal, machines, manifest, netlink, observe, reader, store, values
from ebpfnf.agent.care import Care
from ebpfnf.agent.plan import Options, plan_reconcile
from ebpfnf.agent.seen import Observed
from ebpfnf.errors import AgentError, Busy, EbpfnfError
from ebpfnf.kernel.pins import Pins
from ebpfnf.model import Function, Vm

ROUND = 0.05  # seconds between two rounds of questions
_PORTS = 0.5  # seconds between two looks at the ports

Emit = Callable[[str, Mapping[str, Any]], None]


@dataclass(slots=True)
class Watch:
    """A watch over one deployment; `run` goes on until `ended` is set."""

    deployment: str
    emit: Emit
    ended: threading.Event = field(default_factory=threading.Event)
    _looked: float = 0.0  # at the ports
    _alarm: str = ""  # what is wrong with them, as it was told
    _functions: manifest.Manifest | None = None  # of the live generation
    _vms: tuple[Vm, ...] = ()
    _reader: int = 0  # the process that reads copies
    _waits: bool = False  # for a deployment that nobody left here, as it was told
    _care: Care = field(init=False)

    def __post_init__(self) -> None:
        self._care = Care(self.deployment, self.emit)

    def run(self) -> None:
        """Round after round. A deploy under way has the lock: then this looks again later."""
        while not self.ended.is_set():
            try:
                with journal.locked(self.deployment):
                    self._round()
            except AgentError:
                self._care.wanting.clear()
            self._care.repair()
            if time.monotonic() - self._looked > _PORTS:
                self._mend()
                self._read()
                self._looked = time.monotonic()
            self.ended.wait(ROUND)
        self._care.close()
        if self._reader:
            os.kill(self._reader, signal.SIGTERM)
            os.waitpid(self._reader, 0)

    def _round(self) -> None:
        """VMs, and functions of others by their carriers."""
        at = Pins(self.deployment)
        live = observe.live_generation(at)
        if not live:
            self._care.wanting.clear()
            return
        paths = at.generation(live)
        if self._functions is None or self._functions.generation != live:
            self._functions, self._vms = manifest.decode(values.read(paths.manifest)[1]), machines.needs(paths)
        self._care.ask(at, paths, self._vms)
        if self._functions and self._functions.functions:
            interfaces = netlink.interfaces()
            serving = functions.serving(self._functions, interfaces)
            for name in functions.refresh(paths, self._functions, interfaces):
                self.emit("serve", {"what": name, "detail": "carrier" if name in serving else "no carrier"})
            self._care.wanting |= {machine for machine, function in self._images().items() if function.name not in serving}

    def _images(self) -> Mapping[str, Function]:
        """Machines of functions, which a reconcile starts where they have ended."""
        found = self._functions
        return functions.machines(self.deployment, found.functions, found.ports) if found else {}

    def _read(self) -> None:
        """Where mNFs stand beside the path, a process of its own reads their copies."""
        if self._reader and os.waitpid(self._reader, os.WNOHANG)[0]:
            self._reader = 0
        self._reader = self._reader or reader.start(self.deployment)

    def _mend(self) -> None:
        """Attach what has lost its link; where an interface is another one now, or all pins are gone, apply what a manager left."""
        try:
            seen = observe.observe(self.deployment, vms=False)
            kept = None if seen.live and self._attached(seen) else store.kept(self.deployment)
            waits = not seen.live and not kept
            if waits and not self._waits:
                self.emit("wait", {"what": self.deployment, "detail": "it does not run here yet"})
            self._waits = waits
            if kept:
                self._vms = self._vms or kept.vms
                self._change(partial(apply.apply, kept, Options(keep_entries=True), self.emit, trusted=True))
            self._alarm = ""
        except Busy:
            pass
        except (OSError, EbpfnfError) as error:
            if str(error) != self._alarm:
                self._alarm = str(error)
                self.emit("alarm", {"what": self.deployment, "detail": self._alarm})

    def _change(self, change: Callable[[], object]) -> None:
        """Where there are VMs, by a process that ends: libvirt is asked."""
        if self._vms or self._images():
            self._care.apart(change)
        else:
            change()

    def _attached(self, seen: Observed) -> bool:
        """Whether all ports are, perhaps by what was done now. AgentError where they can't be, and no manager left a bundle."""
        try:
            if any(action.verb in ("attach", "replace") for action in plan_reconcile(seen)):  # VMs are cared for
                self._change(partial(apply.reconcile, self.deployment, self.emit))
        except AgentError:
            if store.kept(self.deployment) is None:
                raise
            return False
        return True
