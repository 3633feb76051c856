"""From what runs to what is wanted: pure functions that give a list of actions, or say why not.

All that can fail comes before the flip; what follows it only attaches, waits and tidies. A plan is empty when there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ebpfnf.agent import functions
from ebpfnf.agent.manifest import Manifest
from ebpfnf.agent.netlink import Interface
from ebpfnf.agent.seen import Generation, Observed, PortSeen
from ebpfnf.bundle import to_json
from ebpfnf.errors import AgentError
from ebpfnf.model import VM_INSTANCES, Bundle, Port, Scope, Table, Vm

_GRACE = "until its last packet is through"
RETIRED = "retired"  # the pin under state/ that keeps the sums of generations that are gone
VETH_MTU = 3498  # the largest for native XDP without frags: a page less headroom and skb_shared_info


@dataclass(frozen=True, slots=True)
class Action:
    """One step: `verb` to `what`, and how it is taken back while nothing is committed."""

    verb: str  # load fill check pin start stop boot serve flip attach replace detach grace halt retire sweep remove
    what: str
    detail: str = ""
    undo: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.what}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Options:
    """What a deploy does with entries that were changed live (docs/reference/semantics.md, 18), and whether it is only for what runs."""

    keep_entries: bool = False
    discard_entries: bool = False
    running: bool = False


def plan(bundle: Bundle, seen: Observed, options: Options | None = None) -> tuple[Action, ...]:
    """What makes `bundle` run here; AgentError when this host must not do it."""
    options = options or Options()
    if options.running and seen.running is None:
        raise AgentError(f"'{bundle.deployment}' does not run here", cure="deploy it first")
    for port in bundle.ports:
        _refuse_port(port, seen, _taps(bundle))
    _refuse_edits(seen, options)
    running = seen.running
    manifest = running.manifest if running else None
    same = manifest is not None and manifest.digest == bundle.digest and manifest.bound == bound(bundle.ports, seen)
    if same and not (seen.edited and options.discard_entries):
        wanted = {spec.pin for spec in bundle.maps if spec.scope is Scope.STATE}
        previous = seen.previous
        keep = {seen.live, previous.number if previous else 0}
        machines = (*_start(bundle, seen), *_boot(seen.live, bundle.vms, seen), *_halt(seen.live, bundle.vms, seen))
        return (*machines, *_serve(running, seen), *_ports(bundle.ports, seen), *_tidy(seen, keep, wanted))
    if running:
        _refuse_numbers(bundle.ports, seen)
    return _fresh(bundle, seen, options)


def plan_rollback(seen: Observed) -> tuple[Action, ...]:
    """Back to the generation before; what is live now goes, so that a second rollback has nowhere to go."""
    previous = seen.previous
    if previous is None or previous.manifest is None:
        raise AgentError(f"deployment '{seen.deployment}' has no earlier generation here", cure="deploy the chain that is wanted")
    for port in previous.manifest.ports:
        _refuse_port(port, seen, _taps(previous.manifest))
    _refuse_numbers(previous.manifest.ports, seen)
    flip = Action("flip", str(previous.number), f"root[0] from generation {seen.live}", f"flip back to {seen.live}")
    ports = _ports(previous.manifest.ports, seen)
    tidy = _tidy(seen, {previous.number}, set(previous.manifest.state))
    needed = seen.needs.get(previous.number, ())
    halt = (*_halt(previous.number, needed, seen), *_stop(previous.manifest, seen))
    boot = (*_start(previous.manifest, seen), *_boot(previous.number, needed, seen, anew=True), *_serve(previous, seen))
    return (*boot, flip, *ports, Action("grace", str(seen.live), _GRACE), *halt, *tidy)


def plan_reconcile(seen: Observed) -> tuple[Action, ...]:
    """Attach again what has lost its link; a port that can't be stops the others only if they need nothing."""
    running = seen.running
    if running is None or running.manifest is None:
        raise AgentError(f"deployment '{seen.deployment}' does not run here", cure="deploy it")
    able, refused = [], []
    for port in running.manifest.ports:
        try:
            _refuse_port(port, seen, _taps(running.manifest))
            _refuse_exchange(port, running.manifest, seen)
            able.append(port)
        except AgentError as error:
            refused.append(error)
    actions = tuple(action for action in _ports(tuple(able), seen) if action.what in {port.name for port in able})
    needed = seen.needs.get(seen.live, ())
    machines = (*_start(running.manifest, seen), *_boot(seen.live, needed, seen))
    actions = (*machines, *_serve(running, seen), *actions, *_halt(seen.live, needed, seen))
    if refused and not actions:
        raise refused[0]
    return actions


def plan_undeploy(seen: Observed) -> tuple[Action, ...]:
    """Links first, so that no packet meets a root without a chain; then every pin."""
    if not seen.exists:
        return _stop(None, seen)
    detach = tuple(Action("detach", port.name, "its traffic goes to the kernel again") for port in seen.ports)
    return (*detach, *_halt(0, (), seen), *_stop(None, seen), Action("remove", seen.deployment, "all pins, state included"))


@dataclass(frozen=True, slots=True)
class Moves:
    """Kept tables that packets fill and that stand on another map than now, with how they were: carried over, or empty at first."""

    carried: tuple[tuple[Table, Table], ...] = ()
    emptied: tuple[str, ...] = ()

    def __str__(self) -> str:
        carried = f"; carries over {', '.join(table.name for _, table in self.carried)}" if self.carried else ""
        return carried + (f"; another layout, so it begins empty: {', '.join(self.emptied)}" if self.emptied else "")


def moves(bundle: Bundle, seen: Observed) -> Moves:
    """What becomes of kept tables of which the backing, the size or the layout changes. Entries come along where they look the same."""
    running = seen.running
    if running is None or running.manifest is None:
        return Moves()
    before = {table.name: table for table in running.manifest.tables if table.keep}
    new = {spec.name for spec in bundle.maps if spec.scope is Scope.STATE and spec.pin not in running.manifest.state}
    pairs = [(before[table.name], table) for table in bundle.tables if table.map in new and table.name in before]
    fits = [_entries(was) == _entries(table) for was, table in pairs]
    carried = tuple(pair for pair, fit in zip(pairs, fits, strict=True) if fit)
    return Moves(carried, tuple(table.name for (_, table), fit in zip(pairs, fits, strict=True) if not fit))


def _entries(table: Table) -> object:
    """What entries look like."""
    return to_json((table.kind, table.key, table.value, table.buckets))


def bound(ports: tuple[Port, ...], seen: Observed) -> dict[str, tuple[int, int]]:
    """Port -> ifindex and MTU: what a generation's constants say of its interfaces."""
    found = {port.name: seen.interfaces[port.interface] for port in ports if port.interface in seen.interfaces}
    return {name: (interface.ifindex, interface.mtu) for name, interface in found.items()}


def in_place(port: Port, seen: Observed) -> bool:
    """Whether the port's link is on its interface, with the right root program."""
    pins, interface = _pins(port.name, seen), seen.interfaces.get(port.interface)
    return bool(interface and _attached(pins, interface) and pins.number == port.number and pins.on_fault == port.on_fault)


def _fresh(bundle: Bundle, seen: Observed, options: Options) -> tuple[Action, ...]:
    number, live = seen.next_number, seen.live
    state = {spec.pin for spec in bundle.maps if spec.scope is Scope.STATE}
    kept = sorted(state & set(seen.running.manifest.state if seen.running and seen.running.manifest else seen.state))
    words = f"{len(bundle.programs)} programs, {len(bundle.maps)} maps{_state_words(kept, state)}{moves(bundle, seen)}"
    actions = [*_start(bundle, seen), Action("load", str(number), words, "unload")]
    filled = [table for table in bundle.tables if table.filled_by == "operator"]
    if filled or moves(bundle, seen).carried:
        words = f"{len(filled)} tables, {sum(len(table.entries) for table in filled)} entries"
        if seen.edited and options.keep_entries:
            words += ", live entries kept in " + ", ".join(sorted(seen.edited))
        actions.append(Action("fill", str(number), words))
    actions.append(Action("check", str(number), "runs a frame through the new entry"))
    actions.append(Action("pin", str(number), bundle.digest[:12], "remove its pins"))
    for vm in bundle.vms:
        if not 1 <= vm.instances <= vm.instances + vm.standby <= VM_INSTANCES:
            words = f"{vm.instances} instances" + (f" and {vm.standby} that stand by" if vm.standby else "")
            raise AgentError(f"stage '{vm.stage}': {words}", cure=f"1 to {VM_INSTANCES} in all")
    actions += _boot(number, bundle.vms, seen, anew=True)
    from_words = f"from generation {live}" if live else "the first"
    undo = f"flip back to {live}" if live else "clear root[0]"
    actions.append(Action("flip", str(number), f"root[0], {from_words}", undo))
    actions += _ports(bundle.ports, seen)
    keep = {number, live} if seen.running else {number}  # one that can't be read is no way back
    if live:
        actions.append(Action("grace", str(live), _GRACE))
    actions += [*_halt(number, bundle.vms, seen), *_stop(bundle, seen)]
    return (*actions, *_tidy(seen, keep, state))


def _boot(number: int, needed: Sequence[Vm], seen: Observed, *, anew: bool = False) -> tuple[Action, ...]:
    """VMs that are not here; a generation that was not live before must be told even of those that are."""
    if not needed:
        return ()
    from ebpfnf.vm.crew import crew  # what knows VMs is imported only where there are some

    crews = [crew(seen.deployment, vm, _states(seen)) for vm in needed]
    if all(each.complete for each in crews) and not anew:
        return ()
    start = sum(len(each.start) + len(each.standby) for each in crews)
    wake, stay = sum(len(each.wake) for each in crews), sum(len(each.serve) for each in crews)
    words = f"{start} virtual machines start" if start else "no virtual machine starts"
    words += f", {wake} wake up" if wake else ""
    leaving = sum(1 for each in crews for name in each.surplus if seen.flows.get(str(name)))
    words += f", {stay} are taken over" + (f", {leaving} stay until their flows have ended" if leaving else "")
    return (Action("boot", str(number), words, "stop those"),)


def _taps(deployed: functions.Deployed) -> frozenset[str]:
    """Interfaces that the agent makes."""
    return frozenset(name for function in deployed.functions for name in functions.taps(function, deployed.ports))


def _start(deployed: functions.Deployed, seen: Observed) -> tuple[Action, ...]:
    """Images that don't run, with their taps: before anything looks at these."""
    wanted = functions.machines(seen.deployment, deployed.functions, deployed.ports)
    return tuple(
        Action("start", name, f"'{function.name}' boots {function.image.files[0] if function.image else ''}", "stop it")
        for name, function in wanted.items()
        if seen.images.get(name) != "running"
    )


def _stop(deployed: functions.Deployed | None, seen: Observed) -> tuple[Action, ...]:
    needed = functions.machines(seen.deployment, deployed.functions, deployed.ports) if deployed else {}
    return tuple(Action("stop", name, "with its taps") for name in seen.images if name not in needed)


def _serve(generation: Generation | None, seen: Observed) -> tuple[Action, ...]:
    """What serves has changed since the generation was told."""
    if generation is None or generation.manifest is None:
        return ()
    before, now = seen.serving.get(generation.number, frozenset()), functions.serving(generation.manifest, seen.interfaces)
    started = {f.name for f in generation.manifest.functions if f.image} if _start(generation.manifest, seen) else set[str]()
    before, now = before - started, now | started
    words = [f"{name} {'serves' if name in now else 'is down'}" for name in sorted(before ^ now)]
    return (Action("serve", str(generation.number), ", ".join(words)),) if words else ()


def _halt(number: int, needed: Sequence[Vm], seen: Observed) -> tuple[Action, ...]:
    """Who serves no more: off, and where the generation wants him to stand by, there again."""
    if not seen.machines:
        return ()
    from ebpfnf.vm import lifecycle
    from ebpfnf.vm.crew import unneeded

    off = unneeded(seen.deployment, needed, _states(seen), seen.flows)
    again = {str(name) for vm in needed for name in lifecycle.names(seen.deployment, vm)} & set(off)
    halt = tuple(Action("halt", name, "drained first") for name in off)
    return (*halt, Action("boot", str(number), f"{len(again)} stand by from now on")) if again else halt


def _states(seen: Observed) -> dict[str, str]:
    return {name: each.state for name, each in seen.machines.items()}


def _state_words(kept: Iterable[str], state: set[str]) -> str:
    return f"; keeps {', '.join(kept)}" if kept else f"; {len(state)} new state tables" if state else ""


def _ports(ports: tuple[Port, ...], seen: Observed) -> tuple[Action, ...]:
    """Links that are missing, on another interface or with another root program; then those nobody wants any more."""
    actions: list[Action] = []
    for port in ports:
        pins, interface = _pins(port.name, seen), seen.interfaces.get(port.interface)
        if in_place(port, seen):
            continue
        words = f"{port.interface} ({f'ifindex {interface.ifindex}' if interface else 'a tap'}), port {port.number}"
        if interface and _attached(pins, interface):
            actions.append(Action("replace", port.name, f"{words}, on_fault {port.on_fault}", "put the old root program back"))
            continue
        if pins.ifindex:
            actions.append(Action("detach", port.name, f"from ifindex {pins.ifindex}"))
        actions.append(Action("attach", port.name, words, "detach"))
    wanted = {port.name for port in ports}
    return (*actions, *(Action("detach", p.name, "no port of this deployment any more") for p in seen.ports if p.name not in wanted))


def _tidy(seen: Observed, keep: set[int], state: set[str]) -> tuple[Action, ...]:
    """Generations that neither run nor are the way back, state that no kept generation uses, what a cut-off writer left."""
    actions = [Action("sweep", name, "left by a writer that was cut off") for name in seen.leftovers]
    for generation in seen.generations:
        if generation.number in keep:
            if generation.manifest:
                state = state | set(generation.manifest.state)
        else:
            actions.append(Action("retire", str(generation.number), "its counts are kept" if generation.complete else "incomplete"))
    actions += [Action("sweep", f"state/{name}", "used by no generation") for name in seen.state if name not in state | {RETIRED}]
    return tuple(actions)


def _pins(name: str, seen: Observed) -> PortSeen:
    return next((port for port in seen.ports if port.name == name), PortSeen(name))


def _attached(pins: PortSeen, interface: Interface) -> bool:
    return bool(pins.program) and pins.ifindex == interface.ifindex and pins.program == interface.program


def _refuse_port(port: Port, seen: Observed, taps: frozenset[str] = frozenset()) -> None:
    interface = seen.interfaces.get(port.interface)
    if port.interface in taps and (interface is None or interface.kind == "tun"):
        return
    if port.interface in taps:
        raise AgentError(f"port '{port.name}': interface '{port.interface}' is here and no tap: an image gets a tap of its own", port.where,
                         "name one that is not here")  # fmt: skip
    if interface is None:
        raise AgentError(f"port '{port.name}': this host has no interface '{port.interface}'{_have(seen.interfaces)}", port.where,
                         "name one that exists, or make it")  # fmt: skip
    if interface.program in seen.owners:
        raise AgentError(f"port '{port.name}': interface '{port.interface}' belongs to {seen.owners[interface.program]}", port.where,
                         "take that off the interface first")  # fmt: skip
    if interface.kind == "veth" and interface.mtu > VETH_MTU:
        raise AgentError(f"port '{port.name}': mtu {interface.mtu} of veth '{port.interface}' is too large for XDP: at most {VETH_MTU}",
                         port.where, f"ip link set {port.interface} mtu {VETH_MTU}")  # fmt: skip


def _refuse_exchange(port: Port, manifest: Manifest, seen: Observed) -> None:
    """A generation's constants name its interfaces by their index: another one needs another generation."""
    then, now = manifest.bound[port.name], bound((port,), seen)[port.name]
    if then != now:
        words = f"ifindex {now[0]}, mtu {now[1]}, when deployed {then[0]}, {then[1]}"
        raise AgentError(f"port '{port.name}': interface '{port.interface}' is another one now ({words})", cure="deploy again")


def _have(interfaces: Mapping[str, Interface]) -> str:
    names = sorted(name for name in interfaces if name != "lo")
    return f" (it has {', '.join(names[:8])}{', ...' if len(names) > 8 else ''})" if names else ""


def _refuse_numbers(ports: tuple[Port, ...], seen: Observed) -> None:
    """A root program says its number to whichever generation is live: two numberings at once would mix up ports."""
    for port in ports:
        pins = _pins(port.name, seen)
        if pins.ifindex and pins.number and pins.number != port.number:
            raise AgentError(f"port '{port.name}' would change its number from {pins.number} to {port.number} under traffic", port.where,
                             "add new ports at the end of 'ports:' and keep the order of the others, or undeploy first")  # fmt: skip


def _refuse_edits(seen: Observed, options: Options) -> None:
    if options.keep_entries and options.discard_entries:
        raise AgentError("entries can't be both kept and discarded", cure="choose --keep-entries or --discard-entries")
    if seen.edited and not options.keep_entries and not options.discard_entries:
        table, words = min(seen.edited.items())
        more = f", and {len(seen.edited) - 1} more tables" if len(seen.edited) > 1 else ""
        cure = "--keep-entries or --discard-entries says what shall become of that"
        raise AgentError(f"table '{table}' was changed live: {words}{more}", cure=cure)
