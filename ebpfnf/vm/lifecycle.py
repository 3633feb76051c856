"""A deployment's VMs on this host: started, found again, drained, stopped. What runs is read from libvirt, nothing is written down.

A machine's name says all: `ebpfnf.<deployment>.<instance>.<node>.<digest>.<number>`, where the digest is that of its image and
configuration. Its tap and MAC address follow from the name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ebpfnf.errors import AgentError
from ebpfnf.model import VM_INSTANCES, Vm
from ebpfnf.vm import domain, qemu, tap
from ebpfnf.vm.control import Operation
from ebpfnf.vm.domain import Hypervisor, Machine
from ebpfnf.vm.qemu import Accelerator

READY_SECONDS = 20.0  # a guest is ready in 0.3; the rest is for a host that is busy
DRAIN_SECONDS = 2.0
_PREFIX = "ebpfnf"
_DIGEST = 12


@dataclass(frozen=True, slots=True)
class Name:
    """A machine's name, taken apart."""

    deployment: str
    stage: str
    digest: str
    number: int

    def __str__(self) -> str:
        return f"{_PREFIX}.{self.deployment}.{self.stage}.{self.digest}.{self.number}"

    @property
    def tap(self) -> str:
        """Its tap's name: 15 characters at most."""
        return f"enf{self._hash()[:12]}"

    @property
    def mac(self) -> str:
        """A locally administered address; what it is matters to nobody, as frames carry cookies."""
        return "52:54:00:" + ":".join(self._hash()[at : at + 2] for at in (0, 2, 4))

    def _hash(self) -> str:
        return hashlib.sha256(str(self).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Seen:
    """A machine as it is."""

    name: Name
    state: str  # running | paused | crashed | shut | cut off: it runs, but its tap is gone
    ifindex: int  # of its tap, 0 where that is gone
    accelerator: str  # kvm | tcg
    about: str  # why that one, in words


def parse(text: str) -> Name | None:
    """The parts of a machine's name; None where it is none of ours."""
    parts = text.split(".")
    if len(parts) < 6 or parts[0] != _PREFIX or not parts[-1].isdecimal():
        return None
    return Name(parts[1], ".".join(parts[2:-2]), parts[-2], int(parts[-1]))


def names(deployment: str, vm: Vm) -> tuple[Name, ...]:
    """The machines that a stage shall have, those that stand by too."""
    return kin(deployment, vm)[: vm.instances + vm.standby]


def kin(deployment: str, vm: Vm) -> tuple[Name, ...]:
    """The machines that a stage may have: those that it shall have, and those that were too many and have not left yet."""
    return tuple(Name(deployment, vm.stage, vm.digest[:_DIGEST], number) for number in range(VM_INSTANCES))


def seen(deployment: str) -> tuple[Seen, ...]:
    """This deployment's machines on this host."""
    with domain.opened() as hypervisor:
        return _seen(deployment, hypervisor)


def accelerator(vm: Vm) -> Accelerator:
    """What runs the stage's image well on this host."""
    return qemu.accelerator(_image(vm))


def start(vm: Vm, name: Name, *, paused: bool = False) -> str:
    """Boot one, and wait until it serves; why it does so in software emulation, or nothing. Its tap must be there.

    `paused`: then it is stopped where it is, to stand by.
    """
    folder = domain.home() / str(name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = _write(folder / "config", vm.config.encode())
    found = accelerator(vm)
    machine = Machine(str(name), _image(vm), config, name.tap, name.mac, folder / "log", found.name, found.words)
    with domain.opened() as hypervisor:
        hypervisor.destroy(str(name))  # one that crashed, or whose tap went away
        hypervisor.start(machine)
        _await(name, folder / "log")
        if paused:
            hypervisor.pause(str(name))
    return found.words if found.name == "tcg" else ""


def wake(name: Name) -> None:
    """Let one that stood by serve. Its time begins now: what a guest does differently at first, it shall do now."""
    with domain.opened() as hypervisor:
        hypervisor.resume(str(name))
    _await(name, domain.home() / str(name) / "log", Operation.BEGIN)


def drain(name: Name) -> bool:
    """Wait until everything that was sent to it has come back; false where it does not answer."""
    try:
        with tap.Line(name.tap) as line:
            return line.ask(Operation.DRAIN, seconds=DRAIN_SECONDS) is not None
    except AgentError:
        return False


def counters(name: Name) -> dict[str, int]:
    """What its guest counts; nothing where it does not answer."""
    try:
        with tap.Line(name.tap) as line:
            return line.counters()
    except AgentError:
        return {}


def end(name: Name) -> None:
    """Off, but its tap stays where the packets find it."""
    with domain.opened() as hypervisor:
        hypervisor.destroy(str(name))


def stop(wanted: Iterable[Name]) -> None:
    """Off, with their taps."""
    with domain.opened() as hypervisor:
        for name in wanted:
            hypervisor.destroy(str(name))
            tap.remove(name.tap)
            shutil.rmtree(domain.home() / str(name), ignore_errors=True)
    if not any(domain.home().glob(f"{_PREFIX}.*")):
        shutil.rmtree(domain.home() / "images", ignore_errors=True)


def _seen(deployment: str, hypervisor: Hypervisor) -> tuple[Seen, ...]:
    found = []
    for each in hypervisor.machines():
        name = parse(each.name)
        if name and name.deployment == deployment:
            there = ifindex(name)
            state = "cut off" if each.state == "running" and not there else each.state
            found.append(Seen(name, state, there, each.accelerator, each.about))
    return tuple(found)


def ifindex(name: Name) -> int:
    """Of its tap, 0 where that is gone."""
    with contextlib.suppress(OSError):
        return socket.if_nametoindex(name.tap)
    return 0


def _await(name: Name, log: Path, operation: Operation = Operation.READY) -> None:
    with tap.Line(name.tap) as line:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if line.ready(0.5, operation):
                return
            said = log.read_text(errors="replace").strip() if log.exists() else ""
            if "refused" in said or "failed" in said or "fault" in said:
                raise AgentError(f"virtual machine '{name}': {said.splitlines()[-1]}")
    raise AgentError(f"virtual machine '{name}' is not ready after {READY_SECONDS:.0f} s", cure=f"see {log}")


def _image(vm: Vm) -> Path:
    return _write(domain.home() / "images" / f"{hashlib.sha256(vm.image).hexdigest()}.elf", vm.image)


def _write(path: Path, data: bytes) -> Path:
    """A file with these contents, whole or not at all."""
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_bytes(data)
        os.replace(new, path)
    return path
