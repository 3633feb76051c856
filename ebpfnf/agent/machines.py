"""VMs in a change of a deployment: started before the flip, drained and stopped after it. libvirt is asked only where there are VMs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ebpfnf.agent import values, vms
from ebpfnf.bundle import from_json, to_json
from ebpfnf.kernel import insn, links, maps, pins, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Generation, Pins
from ebpfnf.kernel.syscall import cpu_slots
from ebpfnf.model import Vm
from ebpfnf.vm import lifecycle, tap
from ebpfnf.vm.lifecycle import Name


def boot(at: Pins, number: int) -> tuple[list[Name], list[str]]:
    """Start what a pinned generation needs and let its packets go there: (those that were started, notices)."""
    paths, started, notices = at.generation(number), list[Name](), dict[str, None]()
    _make_resume(at)
    running = {each.name for each in lifecycle.seen(at.deployment) if each.state == "running" and each.ifindex}
    try:
        with Map.open(at.resume) as resume, Map.open(paths.vms) as devices, Map.open(paths.vm_state) as state:
            vms.name_generation(state, number)
            program = pins.get(paths.program(max(paths.programs())))
            try:
                vms.set_resume(resume, number, program)
            finally:
                os.close(program)
            for vm in kept(paths):
                taps = []
                for name in lifecycle.names(at.deployment, vm):
                    taps.append(attach(at, name))
                    if name not in running:
                        started.append(name)
                        if notice := lifecycle.start(vm, name):
                            notices[notice] = None
                vms.serve(devices, state, vm.number, taps)
    except BaseException:
        halt(at, started)
        raise
    return started, list(notices)


def attach(at: Pins, name: Name) -> int:
    """The machine's tap with its program, both made where they are not there; the ifindex."""
    ifindex = tap.create(name.tap)
    link = pins.find(at.tap(name.tap))
    if link is not None:
        try:
            if links.info(link).ifindex == ifindex:
                return ifindex
        finally:
            os.close(link)
        pins.unpin(at.tap(name.tap))
    with Map.open(at.resume) as resume, Map.open(at.ingress) as ingress:
        program = programs.load(insn.tap_program(ingress.fd, resume.fd, vms.RESUME_SLOTS, cpu_slots() - 1), "tap")
    try:
        made = links.create_xdp(program, ifindex, "auto")
        try:
            pins.pin(made, at.tap(name.tap))
        finally:
            os.close(made)
    finally:
        os.close(program)
    return ifindex


def _make_resume(at: Pins) -> None:
    """The deployment's map of the programs that take packets back, where it is not there."""
    if not pins.exists(at.resume):
        with Map(maps.create("prog_array", 4, 4, vms.RESUME_SLOTS, name="resume")) as made:
            pins.pin(made.fd, at.resume)


def halt(at: Pins, names: Sequence[Name]) -> list[str]:
    """Drained, off, and their taps away; what they could not take of what was sent to them, in words."""
    notices = []
    for name in names:
        lifecycle.drain(name)
        if refused := tap.refused(name.tap):
            notices.append(f"virtual machine '{name}' was too slow for {refused} packets")
    for name in names:
        pins.unpin(at.tap(name.tap))
    lifecycle.stop(names)
    return notices


def keep(paths: Generation, machines: Sequence[Vm]) -> None:
    """Pin beside a generation what its VMs boot: a rollback starts them again."""
    if machines:
        values.write(paths.machines, to_json(tuple(machines)), "machines")


def kept(paths: Generation) -> tuple[Vm, ...]:
    """The VMs of a pinned generation."""
    data = values.read(paths.machines)[1]
    return tuple(from_json(Vm, each) for each in data) if isinstance(data, list) else ()


def forget(at: Pins, number: int) -> None:
    """A generation is going: what VMs still give back for it is dropped and counted."""
    if pins.exists(at.resume):
        with Map.open(at.resume) as resume, contextlib.suppress(FileNotFoundError):
            vms.clear_resume(resume, number)


def needed(deployment: str, machines: Sequence[Vm]) -> tuple[str, ...]:
    """Names of the VMs that these stages have."""
    return tuple(str(name) for vm in machines for name in lifecycle.names(deployment, vm))


def look(at: Pins) -> dict[str, str]:
    """The deployment's VMs and their states; none is looked for where it has none. One whose tap is gone is `cut off`."""
    if not pins.exists(at.resume):
        return {}
    return {str(each.name): each.state if each.ifindex else "cut off" for each in lifecycle.seen(at.deployment)}


def status(at: Pins, number: int, found: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each VM of a generation as JSON's types: is it there, is it sent packets, what its tap could not take."""
    paths = at.generation(number)
    machines = kept(paths)
    if not machines:
        return []
    with Map.open(paths.vm_state) as state:
        sent_to = {vm.number: vms.serving(state, vm.number) for vm in machines}
    return [
        {
            "name": str(name),
            "stage": vm.stage,
            "state": found.get(str(name), "gone"),
            "serves": lifecycle.ifindex(name) in sent_to[vm.number],
            "on_failure": vm.on_failure,
            "tap_dropped": tap.refused(name.tap),
        }
        for vm in machines
        for name in lifecycle.names(at.deployment, vm)
    ]
