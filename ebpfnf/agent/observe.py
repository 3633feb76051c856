"""What runs here, read from pins, links and interfaces. Changes nothing and needs no lock."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import struct
from collections.abc import Mapping

from ebpfnf.agent import flows, functions, journal, manifest, netlink, retired, tables, values
from ebpfnf.agent.manifest import Manifest
from ebpfnf.agent.netlink import Interface
from ebpfnf.agent.seen import Generation, Observed, PortSeen, Totals
from ebpfnf.kernel import insn, links, pins, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Pins
from ebpfnf.kernel.syscall import BpfError
from ebpfnf.model import SlotLayout, Table
from ebpfnf.tables.layout import has_stats, stats_map_name
from ebpfnf.vm import HOME

_KEY = bytes(4)
_ROOT_NAME = re.compile(r"root_([1-9][0-9]?)_(drop|pass)\Z")


def root_name(number: int, on_fault: str) -> str:
    """A root program's name: the kernel itself says which port's it is and what it does without a live generation."""
    return f"root_{number}_{on_fault}"


def observe(deployment: str, *, entries: bool = False, vms: bool = True) -> Observed:
    """The deployment as it is; with `entries` also what is in its tables: what differs from the deployed file, what filled up.

    Without `vms` libvirt is not asked.
    """
    tries = 3  # a writer may remove pins while we look
    while True:
        tries -= 1
        try:
            return _observe(deployment, entries, vms)
        except OSError as error:
            if error.errno != errno.ENOENT or not tries:
                raise


def _observe(deployment: str, entries: bool, vms: bool) -> Observed:
    at = Pins(deployment)
    interfaces = netlink.interfaces()
    here = os.path.isdir(at.directory)
    ports = tuple(_port(at, name) for name in at.ports())
    note = journal.cut_off(deployment)
    seen = Observed(
        images=_images(deployment) if vms else {},
        deployment=deployment,
        exists=here,
        ports=ports,
        interfaces=interfaces,
        owners=_owners(deployment, interfaces, {port.program for port in ports}),
        journal=note,
    )
    if not here:
        return seen
    while True:  # a writer may flip or fold while we look: then a generation would be missed, or count twice
        before = _mark(at)
        gone = retired.read(at)
        generations = tuple(Generation(n) if n in gone.folded else read_generation(at, n) for n in at.generations())
        entry, live = _entry(at), live_generation(at)
        if _mark(at) == before:
            break
    seen = dataclasses.replace(
        seen,
        generations=generations,
        live=live,
        occupied=bool(entry),
        state=tuple(at.states()),
        leftovers=tuple(f"tmp-gen-{n}" for n in at.temporaries()),
        folded=gone.last,
        retired=gone.totals,
        missed=_sum_of_ingress(at, insn.INGRESS_MISSED),
        strays=_sum_of_ingress(at, insn.INGRESS_STRAYS),
        serving={g.number: functions.told(at.generation(g.number), g.manifest) for g in generations if g.manifest},
    )
    seen = _with_machines(seen, at, vms)
    running = seen.running
    if not entries or running is None or running.manifest is None:
        return seen
    return dataclasses.replace(seen, edited=_edited(at, running.manifest), fills=_fills(at, running.manifest))


def _with_machines(seen: Observed, at: Pins, vms: bool) -> Observed:
    """With the VMs that are here, and those that each generation needs. What knows VMs is imported only where one has some."""
    numbers = at.generations()
    if not pins.exists(at.resume) and not any(pins.exists(at.generation(n).machines) for n in numbers):
        return seen
    from ebpfnf.agent import machines

    needs = {n: machines.needs(at.generation(n)) for n in numbers}
    here = machines.look(at) if vms else {}
    return dataclasses.replace(seen, needs=needs, machines=here, flows=machines.flows(at, here, needs.get(seen.live, ())))


def _images(deployment: str) -> dict[str, str]:
    """Machines of functions that are here; they are known to have been before any pin is."""
    if not os.path.isdir(HOME):
        return {}
    from ebpfnf.vm import foreign

    return foreign.look(deployment)


def _mark(at: Pins) -> object:
    """What changes with every step that `observe` must not look past."""
    return _entry(at), retired.read(at).stamp, at.generations()


def read_generation(at: Pins, number: int) -> Generation:
    """A generation's manifest and its counts; without the former where pins are missing."""
    paths = at.generation(number)
    found = manifest.decode(values.read(paths.manifest)[1])
    if found is None or not all(pins.exists(path) for path in (paths.chain, paths.program(0), paths.meta)):
        return Generation(number)
    return Generation(number, found, _sum_slots(_value(paths.meta), found.slot, len(found.counters)))


def read_live(at: Pins) -> Manifest | None:
    """The manifest of the live generation alone; None where none is live, or its pins are gone."""
    while True:  # a writer may flip and remove what we were about to read
        number = live_generation(at)
        found = manifest.decode(values.read(at.generation(number).manifest)[1]) if number else None
        if found or live_generation(at) == number:
            return found


def read_totals(at: Pins, number: int) -> Totals:
    """A generation's sums by name, now."""
    return flows.totals(read_generation(at, number))


def open_table(at: Pins, found: Manifest, table: Table) -> Map:
    """The map behind a table of a generation; FileNotFoundError where its pin is gone."""
    pin = found.pins[table.map]
    path = at.state(pin.removeprefix("state/")) if pin.startswith("state/") else at.generation(found.generation).table(pin)
    fd = pins.find(path)
    if fd is None:
        raise FileNotFoundError(errno.ENOENT, f"the pin of table '{table.name}' is gone")
    return Map(fd)


def open_statistics(at: Pins, found: Manifest, table: Table) -> Map | None:
    """The map that counts what packets did to a table's entries; None where they make none."""
    if not has_stats(table) or stats_map_name(table) not in found.pins:
        return None
    return open_table(at, found, dataclasses.replace(table, map=stats_map_name(table)))


def file_entries(at: Pins, number: int) -> dict[str, tuple[tuple[str, object], ...]]:
    """What the operator's file said when this generation was deployed: table -> entries."""
    found = values.read(at.generation(number).entries)[1]
    return {name: tuple((key, value) for key, value in items) for name, items in found.items()} if isinstance(found, dict) else {}


def _sum_slots(data: bytes, slot: SlotLayout, counters: int) -> tuple[int, ...]:
    shape = struct.Struct(f"={counters}Q")
    slots = [shape.unpack_from(data, start + slot.counts) for start in range(0, len(data) - slot.size + 1, slot.size)]
    return tuple(map(sum, zip(*slots, strict=True))) if slots and counters else (0,) * counters


def live_generation(at: Pins) -> int:
    """The number of the generation in root[0], 0 where none of those here is."""
    entry = _entry(at)
    return next((n for n in at.generations() if entry and _program_id(at.generation(n).program(0)) == entry), 0)


def _entry(at: Pins) -> int:
    """The id of the program in root[0]."""
    value = _value(at.root)
    return int(struct.unpack("=I", value)[0]) if value else 0


def _value(path: str) -> bytes:
    """The first value of the array pinned there, empty where there is none."""
    fd = pins.find(path)
    if fd is None:
        return b""
    with Map(fd) as found:
        return found.lookup(_KEY) or b""


def _program_id(path: str) -> int:
    fd = pins.find(path)
    if fd is None:
        return 0
    try:
        return programs.info(fd).id
    finally:
        os.close(fd)


def _port(at: Pins, name: str) -> PortSeen:
    """A port's link as the kernel tells it. A root program that calls another `root` than the pinned one is no use: number 0."""
    fd = pins.find(at.link(name))
    if fd is None:
        return PortSeen(name)
    try:
        link = links.info(fd)
    finally:
        os.close(fd)
    try:
        program = programs.open_id(link.prog_id, at.root_program(name))
    except BpfError as error:
        if error.errno != errno.EPERM:
            raise
        # not the pinned one: it needs to be replaced, whatever it is
        return PortSeen(name, 0, "", link.prog_id, link.ifindex)
    try:
        about = programs.info(program)
    finally:
        os.close(program)
    match = _ROOT_NAME.match(about.name)
    if match is None or not {_map_id(at.root), _map_id(at.ingress)} <= set(about.map_ids):
        return PortSeen(name, 0, "", link.prog_id, link.ifindex)
    return PortSeen(name, int(match[1]), match[2], link.prog_id, link.ifindex)


def _map_id(path: str) -> int:
    fd = pins.find(path)
    if fd is None:
        return -1
    with Map(fd) as found:
        return int(found.id)


def _sum_of_ingress(at: Pins, offset: int) -> int:
    data = _value(at.ingress)
    slots = range(0, len(data), insn.INGRESS_SLOT)
    return sum(int(struct.unpack_from("=Q", data, start + offset)[0]) for start in slots)


def _owners(deployment: str, interfaces: Mapping[str, Interface], mine: set[int]) -> dict[int, str]:
    """Who else's programs are on interfaces here. By program, as interfaces of other namespaces may have the same index."""
    strangers = {interface.program for interface in interfaces.values() if interface.program} - mine
    if not strangers:
        return {}
    found = {}
    for other in pins.deployments():
        if other != deployment:
            for name in Pins(other).ports():
                port = _port(Pins(other), name)
                if port.program in strangers:
                    found[port.program] = f"deployment '{other}' (its port '{name}')"
    for program in strangers - set(found):
        try:
            fd = programs.open_id(program)
            try:
                found[program] = f"another XDP program ('{programs.info(fd).name}', id {program})"
            finally:
                os.close(fd)
        except BpfError as error:
            if error.errno == errno.EPERM:  # else it is gone since
                found[program] = f"another XDP program (id {program})"
    return found


def _edited(at: Pins, found: Manifest) -> dict[str, str]:
    """Operator's tables whose live entries are not those of the file, and how they differ."""
    said = file_entries(at, found.generation)
    differing = {}
    for table in found.tables:
        if table.filled_by != "operator":
            continue
        try:
            with open_table(at, found, table) as live:
                words = tables.diff(table, live, said.get(table.name, ()))
        except FileNotFoundError:
            words = "its pin is gone"
        except BpfError as error:  # a map opened by its number: who may not look into it has not changed it either
            if error.errno != errno.EPERM:
                raise
            words = ""
        if words:
            differing[table.name] = words
    return differing


def _fills(at: Pins, found: Manifest) -> dict[str, dict[str, int]]:
    fills = {}
    for table in found.tables:
        with contextlib.suppress(FileNotFoundError):
            counts = open_statistics(at, found, table)
            if counts is None:
                continue
            with counts, open_table(at, found, table) as live:
                fills[table.name] = tables.statistics(table, live, counts)
    return fills
