"""What each verb of a plan does. A step leaves on `Work.undo` how it is taken back."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ebpfnf.agent import carry, failpoints, functions, machines, manifest, netlink, observe, outputs, reader, retired, tables, values
from ebpfnf.agent.load import HostFacts, Loaded
from ebpfnf.agent.load import load as load_bundle
from ebpfnf.agent.plan import Action, bound, moves
from ebpfnf.agent.seen import Observed
from ebpfnf.bundle import to_json
from ebpfnf.errors import AgentError
from ebpfnf.kernel import insn, links, maps, pins, probe, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Pins
from ebpfnf.kernel.syscall import cpu_slots
from ebpfnf.model import BESIDE, Bundle, MapSpec, Port, Scope
from ebpfnf.tables.layout import stats_map_name
from ebpfnf.vm import foreign, lifecycle

_KEY = bytes(4)
# A control frame from outside: the entry drops it before it looks at any state (docs/reference/semantics.md, 4).
_CHECK_FRAME = bytes(12) + b"\x88\xb5" + bytes(46)
_IN_GENERATION = ("chain", "meta", "const", "ports", "vms", "vm_state", "vm_records", "vm_windows", BESIDE, "copies", "reader")


@dataclass(slots=True)
class Work:
    """One change under way."""

    pins: Pins
    seen: Observed
    ports: Mapping[str, Port]  # as they shall be
    bundle: Bundle | None = None
    keep_entries: bool = False
    loaded: Loaded | None = None
    undo: list[Callable[[], None]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    held: list[int] = field(default_factory=list)  # fds that `undo` needs

    def close(self) -> None:
        """Let go of what was loaded: what is pinned stays."""
        if self.loaded:
            self.loaded.close()
            self.loaded = None
        while self.held:
            os.close(self.held.pop())

    def parts(self) -> tuple[Bundle, Loaded]:
        """What is being deployed."""
        if self.bundle is None or self.loaded is None:
            raise AgentError("nothing is loaded")
        return self.bundle, self.loaded


def load(work: Work, action: Action) -> None:
    """All maps and programs, beside what runs; kept state and the deployment's own maps are the pinned ones."""
    if work.bundle is None:
        raise AgentError("there is no bundle to load")

    def reuse(spec: MapSpec) -> int | None:
        if spec.scope is Scope.STATE:
            return pins.find(work.pins.state(spec.pin))
        if spec.scope is Scope.DEPLOYMENT:
            return pins.find(work.pins.ingress)
        return None

    work.loaded = load_bundle(work.bundle, reuse=reuse, host=HostFacts.measure(bound(work.bundle.ports, work.seen)))
    if work.bundle.functions:
        with _map(work.loaded, functions.MAP) as states:
            functions.write(states, work.bundle, functions.serving(work.bundle, work.seen.interfaces))
    work.notices += outputs.warnings(work.bundle, work.seen.interfaces)
    if not work.seen.exists:
        work.undo.append(lambda: pins.remove(work.pins.directory))


def fill(work: Work, action: Action) -> None:
    """The operator's tables, as the file says or as they are live, and what packets made in tables that stand on other maps now."""
    bundle, loaded = work.parts()
    before = work.seen.running.manifest if work.seen.running else None
    old = carry.Old(work.pins, before, work.seen.edited) if before else None
    for table in bundle.tables:
        if table.filled_by == "operator":
            with _map(loaded, table.map) as new:
                if not (old and old.fill(table, new, work.keep_entries)):
                    tables.fill(table, new, table.entries)
    for was, table in moves(bundle, work.seen).carried:
        statistics = stats_map_name(table)
        with _map(loaded, table.map) as new, contextlib.ExitStack() as also:
            stats = also.enter_context(_map(loaded, statistics)) if statistics in loaded.maps else None
            left = old.carry(was, table, new, stats) if old else 0
        if left:
            work.notices.append(f"table '{table.name}': {left} entries found no room in its new place")


def check(work: Work, action: Action) -> None:
    """Every slot of the chain is filled and the entry runs; what that counted is wiped, as nothing else counts there yet."""
    bundle, loaded = work.parts()
    with _map(loaded, "chain") as chain:
        for slot, fd in enumerate(loaded.programs):
            if chain.lookup(struct.pack("=I", slot)) != struct.pack("=I", programs.info(fd).id):
                raise AgentError(f"slot {slot} of the chain does not hold program '{bundle.programs[slot].name}'")
    done = programs.test_run(loaded.programs[0], _CHECK_FRAME)
    if done.action not in (insn.XDP_DROP, insn.XDP_PASS, insn.XDP_TX, insn.XDP_REDIRECT):
        raise AgentError(f"the new entry answers a frame with XDP action {done.action}", cure="report this as a bug, with the bundle")
    with _map(loaded, "meta") as meta:
        meta.update(_KEY, bytes(meta.value_size))


def _map(loaded: Loaded, name: str) -> Map:
    return Map(os.dup(loaded.maps[name]))


def pin(work: Work, action: Action) -> None:
    """The deployment's own maps, new state, then the generation: built under another name and renamed when whole."""
    bundle, loaded = work.parts()
    number, at = int(action.what), work.pins
    if not pins.exists(at.root):
        with Map(maps.create("prog_array", 4, 4, 1, name="root")) as root:
            _pin_new(work, root.fd, at.root)
    if not pins.exists(at.ingress):
        _pin_new(work, loaded.maps["ingress"], at.ingress)
    failpoints.hit("base-pinned")
    state = {spec.name: spec.pin for spec in bundle.maps if spec.scope is Scope.STATE}
    for name, where in state.items():
        if not pins.exists(at.state(where)):
            _pin_new(work, loaded.maps[name], at.state(where))
            failpoints.hit("state-pinned")
    _pin_generation(work, number, state)
    failpoints.hit("generation-pinned")
    at.commit(number)
    work.undo.append(lambda: pins.remove(at.generation(number).directory))


def _pin_generation(work: Work, number: int, state: Mapping[str, str]) -> None:
    bundle, loaded = work.parts()
    new = work.pins.temporary(number)
    work.undo.append(lambda: pins.remove(new.directory))
    where = {name: f"state/{pin}" for name, pin in state.items()}
    for spec in bundle.maps:
        if spec.scope is not Scope.GENERATION:
            continue
        if spec.name in _IN_GENERATION:
            pins.pin(loaded.maps[spec.name], f"{new.directory}/{spec.name}")
        else:
            where[spec.name] = spec.pin or spec.name
            pins.pin(loaded.maps[spec.name], new.table(where[spec.name]))
    for segment, fd in enumerate(loaded.programs):
        pins.pin(fd, new.program(segment))
    entries = {table.name: table.entries for table in bundle.tables if table.filled_by == "operator"}
    values.write(new.entries, to_json(entries), "entries")
    machines.keep(new, bundle.vms)
    about = manifest.of_bundle(bundle, number, bound(bundle.ports, work.seen), where)
    values.write(new.manifest, manifest.encode(about), "manifest")


def boot(work: Work, action: Action) -> None:
    """The VMs that the generation needs and that are not here."""
    started, notices = machines.boot(work.pins, int(action.what))
    work.notices += notices

    def back() -> None:
        machines.halt(work.pins, started)

    work.undo.append(back)


def halt(work: Work, action: Action) -> None:
    """A VM that no packet enters any more: drained, then off."""
    name = lifecycle.parse(action.what)
    if name:
        work.notices += machines.halt(work.pins, [name])


def start(work: Work, action: Action) -> None:
    """A function's image with its taps. Another one of it ends before, for a tap has one end: `on_failure` holds meanwhile."""
    running, previous, name = work.seen.running, work.seen.previous, work.seen.deployment
    manifests = [each.manifest for each in (previous, running) if each and each.manifest]
    deployed: list[functions.Deployed] = [*manifests, *([work.bundle] if work.bundle else [])]
    known = {
        machine: (function, functions.taps(function, each.ports))
        for each in deployed
        for machine, function in functions.machines(name, each.functions, each.ports).items()
    }
    same = [
        m for m, state in work.seen.images.items() if functions.function_of(m) == functions.function_of(action.what) and state == "running"
    ]

    def look() -> None:
        work.seen = dataclasses.replace(work.seen, interfaces=netlink.interfaces())
        if running and running.manifest:
            functions.refresh(work.pins.generation(running.number), running.manifest, work.seen.interfaces)

    def back() -> None:
        foreign.stop(action.what)
        for machine in same:
            foreign.start(machine, *known[machine])
        look()

    foreign.check(known[action.what][0])  # before anything ends
    work.undo.append(back)
    for machine in same:
        foreign.end(machine)
    look()
    if notice := foreign.start(action.what, *known[action.what]):
        work.notices.append(notice)
    look()


def stop(work: Work, action: Action) -> None:
    """An image that no packet goes to any more."""
    foreign.stop(action.what)


def serve(work: Work, action: Action) -> None:
    """What a generation's programs know of functions is what their carriers say."""
    number = int(action.what)
    generation = work.seen.generation(number)
    if generation and generation.manifest:
        functions.refresh(work.pins.generation(number), generation.manifest, netlink.interfaces())


def _pin_new(work: Work, fd: int, path: str) -> None:
    pins.pin(fd, path)
    work.undo.append(lambda: pins.unpin(path))


def flip(work: Work, action: Action) -> None:
    """One map update: from now on every packet enters the other generation."""
    new = pins.get(work.pins.generation(int(action.what)).program(0))
    try:
        with Map.open(work.pins.root) as root:
            before = root.lookup(_KEY)
            entries = [work.pins.generation(number).program(0) for number in work.pins.generations()]
            old = programs.open_id(struct.unpack("=I", before)[0], *entries) if before else None
            work.held += [old] if old is not None else []
            root.update(_KEY, struct.pack("=I", new))
    finally:
        os.close(new)

    def back() -> None:
        with Map.open(work.pins.root) as root:
            if old is None:
                root.delete(_KEY)
            else:
                root.update(_KEY, struct.pack("=I", old))
        probe.grace()

    work.undo.append(back)


def attach(work: Work, action: Action) -> None:
    """A root program, pinned, and a link of it on the interface, pinned too: it stays when this process ends."""
    port = work.ports[action.what]
    work.undo.append(lambda: _take_off(work, port.name))
    _attach(work, port, work.seen.interfaces[port.interface].ifindex)


def _attach(work: Work, port: Port, ifindex: int) -> None:
    program = _root_program(work, port)
    try:
        _pin_instead(program, work.pins.root_program(port.name))
        failpoints.hit("root-program-pinned")
        link = links.create_xdp(program, ifindex, "auto")
    finally:
        os.close(program)
    try:
        failpoints.hit("attached-unpinned")
        _pin_instead(link, work.pins.link(port.name))
    finally:
        os.close(link)


def replace(work: Work, action: Action) -> None:
    """Another root program in a link that stays where it is."""
    port = work.ports[action.what]
    program, link = _root_program(work, port), pins.get(work.pins.link(port.name))
    old = programs.open_id(links.info(link).prog_id, work.pins.root_program(port.name))
    work.held += [program, link, old]

    def put(fd: int) -> None:
        links.update(link, fd)
        _pin_instead(fd, work.pins.root_program(port.name))

    work.undo.append(lambda: put(old))
    put(program)


def detach(work: Work, action: Action) -> None:
    """Off the interface, then its pins. Where another interface was meant, the way back is the old one."""
    seen, port = next((port for port in work.seen.ports if port.name == action.what), None), work.ports.get(action.what)
    if seen and seen.ifindex and port:
        work.undo.append(lambda: _attach(work, port, seen.ifindex))
    _detach(work, action.what)
    failpoints.hit("detached-pinned")
    pins.remove(work.pins.port(action.what))


def _take_off(work: Work, name: str) -> None:
    _detach(work, name)
    pins.remove(work.pins.port(name))


def _detach(work: Work, name: str) -> None:
    link = pins.find(work.pins.link(name))
    if link is not None:
        try:
            links.detach(link)
        finally:
            os.close(link)


def _root_program(work: Work, port: Port) -> int:
    with Map.open(work.pins.root) as root, Map.open(work.pins.ingress) as ingress:
        code = insn.root_program(port.number, ingress.fd, root.fd, cpu_slots() - 1, port.on_fault)
        return programs.load(code, observe.root_name(port.number, port.on_fault))


def _pin_instead(fd: int, path: str) -> None:
    """Pin in place of what is pinned there; never is nothing there."""
    pins.unpin(path + "-new")
    pins.pin(fd, path + "-new")
    os.rename(path + "-new", path)


def grace(work: Work, action: Action) -> None:
    """Until no packet is in the old generation."""
    probe.grace()


def retire(work: Work, action: Action) -> None:
    """Its copies are read, its counts go to the sums, then its pins; renamed first, so that half of it is never taken for a generation."""
    number, at = int(action.what), work.pins
    generation = observe.read_generation(at, number)
    if generation.complete:
        reader.drain(at, number)
        retired.fold(at, number, observe.read_totals(at, number))
    machines.forget(at, number)
    hidden = at.temporary(number).directory
    os.rename(at.generation(number).directory, hidden)
    failpoints.hit("hidden")
    pins.remove(hidden)


def sweep(work: Work, action: Action) -> None:
    """A folder or a pin that a writer left."""
    path = f"{work.pins.directory}/{action.what}"
    if os.path.isdir(path):
        pins.remove(path)
    else:
        pins.unpin(path)


def remove(work: Work, action: Action) -> None:
    """Everything of the deployment. The root goes last: while it is there, a second undeploy finds what is left."""
    at = work.pins
    for folder in ("ports", "state"):
        pins.remove(f"{at.directory}/{folder}")
    for number in at.generations():
        pins.remove(at.generation(number).directory)
    pins.remove(at.directory)
    with contextlib.suppress(OSError):  # other deployments are there
        os.rmdir(pins.base())


STEPS: dict[str, Callable[[Work, Action], None]] = {
    "load": load,
    "fill": fill,
    "check": check,
    "pin": pin,
    "boot": boot,
    "halt": halt,
    "serve": serve,
    "start": start,
    "stop": stop,
    "flip": flip,
    "attach": attach,
    "replace": replace,
    "detach": detach,
    "grace": grace,
    "retire": retire,
    "sweep": sweep,
    "remove": remove,
}
