"""VMs in a change of a deployment: started before the flip, drained and stopped after it. libvirt is asked only where there are VMs."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ebpfnf.agent import retired, values, vms
from ebpfnf.agent.seen import Totals
from ebpfnf.bundle import from_json, to_json
from ebpfnf.kernel import insn, links, maps, pins, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Generation, Pins
from ebpfnf.kernel.syscall import cpu_slots
from ebpfnf.model import Vm
from ebpfnf.names import vm_flows_pin
from ebpfnf.vm import lifecycle, tap
from ebpfnf.vm.crew import crew
from ebpfnf.vm.lifecycle import Name, Seen


def boot(at: Pins, number: int, without: Iterable[Name] = ()) -> tuple[list[Name], list[str]]:
    """Start what a pinned generation needs and let its packets go there: (those that were started, notices).

    Who stands by is let in first, as it takes least. `without`: these are there, but no use.
    """
    paths, started, notices = at.generation(number), list[Name](), dict[str, None]()
    _make_resume(at)
    states = {str(each.name): each.state for each in lifecycle.seen(at.deployment)}
    states |= {str(name): "broken" for name in without}
    try:
        _name(at, number)
        for vm in kept(paths):
            found = crew(at.deployment, vm, states)
            for name in lifecycle.names(at.deployment, vm):
                attach(at, name)
            for name in found.wake:
                lifecycle.wake(name)
            serving = [*found.serve, *found.wake]
            _serve(paths, vm, serving, found.surplus)
            if without:
                continue
            for name in (*found.start, *found.standby):
                started.append(name)
                if notice := lifecycle.start(vm, name, paused=name in found.standby):
                    notices[notice] = None
            _serve(paths, vm, [*serving, *found.start], found.surplus)
    except BaseException:
        halt(at, started)
        raise
    return started, list(notices)


def _name(at: Pins, number: int) -> None:
    """Let a generation's frames come back to it."""
    paths = at.generation(number)
    with Map.open(at.resume) as resume, Map.open(paths.vm_state) as state:
        vms.name_generation(state, number)
        program = pins.get(paths.program(max(paths.programs()) - pins.exists(paths.beside)))  # the last, but for a reader of copies
        try:
            vms.set_resume(resume, number, program)
        finally:
            os.close(program)


def _serve(paths: Generation, vm: Vm, taking: Iterable[Name], leaving: Iterable[Name]) -> None:
    with vms.opened(paths) as maps:
        vms.serve(maps, vm.number, *([lifecycle.ifindex(name) for name in names] for names in (taking, leaving)))


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


def leave_out(at: Pins, number: int, name: Name) -> None:
    """No packet of this generation goes to the machine any more."""
    paths, there = at.generation(number), lifecycle.ifindex(name)
    machines = kept(paths)
    if not machines:
        return
    with vms.opened(paths) as maps:
        for vm in machines:
            now = vms.serving(maps.state, vm.number)
            if there in now:
                rest = now.without(there)
                vms.serve(maps, vm.number, rest.taking, rest.leaving)


def halt(at: Pins, names: Sequence[Name]) -> list[str]:
    """Drained, off, and their taps away; what they could not take of what was sent to them, in words. Their counts stay."""
    notices, running = [], {each.name for each in lifecycle.seen(at.deployment) if each.state == "running"}
    for name in names:
        for number in at.generations():
            leave_out(at, number, name)
        if name in running:
            lifecycle.drain(name)
        if refused := tap.refused(name.tap):
            notices.append(f"virtual machine '{name}' was too slow for {refused} packets")
            retired.add(at, Totals({tap_full(name.stage): refused}))
    for name in names:
        pins.unpin(at.tap(name.tap))
    lifecycle.stop(names)
    return notices


def tap_full(stage: str) -> str:
    """The counter of what a stage's taps refuse: programs see to it that a tap with a guest refuses nothing, one without refuses all."""
    return f"{stage.partition('.')[0]}.vm_tap_full"


def accelerators(needed: Iterable[Vm]) -> dict[str, str]:
    """What would run these stages' guests on this host, in words -> kvm | tcg."""
    return {found.words: found.name for found in map(lifecycle.accelerator, needed)}


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


def needs(paths: Generation) -> tuple[Vm, ...]:
    """The VMs of a pinned generation, without what they boot."""
    return tuple(dataclasses.replace(vm, image=b"", config="") for vm in kept(paths))


def look(at: Pins) -> dict[str, Seen]:
    """The deployment's VMs; none is looked for where it has none."""
    return {str(each.name): each for each in lifecycle.seen(at.deployment)} if pins.exists(at.resume) else {}


def flows(at: Pins, machines: Mapping[str, Seen], needed: Iterable[Vm]) -> dict[str, int]:
    """How many flows each of these machines knows: those that had a packet while a machine that shall end would still wait."""
    found: dict[str, int] = {}
    for vm in needed:
        by_tap = known(at, vm)
        found |= {name: by_tap[each.ifindex] for name, each in machines.items() if each.name.stage == vm.stage and each.ifindex}
    return found


def known(at: Pins, vm: Vm) -> Counter[int]:
    """How many flows each of a stage's machines knows, by its tap."""
    path = at.state(vm_flows_pin(vm.stage))
    if not pins.exists(path):
        return Counter()
    with Map.open(path) as found:
        return vms.flows(found, vm.linger)
