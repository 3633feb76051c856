"""The module of a deployment: its view for the template, rendered, with all that compiler and loader must know beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ebpfnf.generate import beside, layout
from ebpfnf.generate.classify import classifier
from ebpfnf.generate.counters import allocate
from ebpfnf.generate.remembered import FlowCache
from ebpfnf.generate.state import Made, made
from ebpfnf.generate.typed import FRAMEWORK, CIdent, CInt, CType, environment
from ebpfnf.generate.view import chain_views, function_views, port_views, program_name, segment_views, vm_numbers
from ebpfnf.model import VM_INSTANCES, Fields, Graph, MapSpec, Scope, Segments, SlotLayout, Source, Stage
from ebpfnf.names import c_field, c_identifier, vm_flows_pin
from ebpfnf.tables.types import Enumeration, type_of

_FIRST_ID, _FIRST_LOOP = 0x7F000000, 0x7E000000  # symbolic ids of maps and functions: no other constant of a program looks like these
_HEADERS = ("types.h", "direct.h", "packet.h", "parse.h", "headers.h", "fib.h", "leave.h", "vm.h", "function.h", "beside.h")
_MMAPABLE, _RDONLY_PROG = 1 << 10, 1 << 7  # linux/bpf.h


def generate(graph: Graph, segments: Segments, fields: Fields, bodies: Mapping[str, str]) -> Source:
    """The C of this graph, cut into these segments. `bodies`: an mNF's folder -> the text of its mnf.c."""
    stages = tuple(stage for stage in graph.stages if stage.mnf.has_body)
    numbers = vm_numbers(graph)
    machines = len(numbers)
    includes = _includes(stages)
    counters = allocate(graph)
    chains = classifier(graph, fields)
    places = {instance.name: instance.where for instance in graph.deployment.instances}
    tables = [(stage, made(stage, fields, graph.deployment.tables, places.get(stage.instance))) for stage in stages]
    configurations, const = layout.configurations(stages)
    words = layout.record_words(fields, graph.meaning.stages)
    scratch = max((-(-layout.struct_size(layout.scratch_members(s)) // 8) for s in stages if s.mnf.scratch), default=1)
    making = max((own.making_words for _, own in tables), default=0)
    cache = FlowCache(graph, fields)
    scratch = max(scratch, cache.words)
    slot = layout.slot_layout(words, len(counters.all), scratch + making + cache.there)
    copy = beside.copied(graph, fields, words)
    count = len(segments.groups) + bool(machines) + bool(graph.beside)
    aside = beside.maps(graph, copy, slot.size)
    framework = (*_maps(graph, count, slot, const), *_vm_maps(numbers, words), *aside, *cache.maps())
    owners = (chains, *(own for _, own in tables))
    maps = (*framework, *(spec for owner in owners for spec in owner.maps))
    ids = {spec.name: _FIRST_ID + k for k, spec in enumerate(maps)}
    loops = {_FIRST_LOOP + k: name for k, name in enumerate(name for owner in owners for name in owner.loops)}

    text = (
        environment()
        .get_template("program.c.j2")
        .render(
            map_ids=[(CIdent(spec.name), CInt(ids[spec.name])) for spec in framework],
            loops=[(CIdent(name), CInt(number)) for number, name in loops.items()],
            ports=port_views(graph, counters),
            functions=function_views(graph, counters),
            function_ports_size=CInt(layout.FUNCTION_PORTS_SIZE),
            counters=CInt(len(counters.all)),
            record_words=CInt(words),
            scratch_words=CInt(scratch),
            making_words=CInt(making),
            slot_size=CInt(slot.size),
            vm=_vm(machines, words, counters.unknown) if machines else None,
            beside=beside.view(graph, counters, copy),
            metadata=[_member(m) for m in layout.metadata_members(fields)],
            own_metadata=[(CIdent(name), [_member(m) for m in members]) for name, members in layout.own_metadata(graph.meaning.stages)],
            classifier=chains.views(ids),
            stages=[
                _stage(stage, own, place, ids, includes[stage.mnf.folder])
                for (stage, own), place in zip(tables, configurations, strict=True)
            ],
            chains=chain_views(graph, counters, segments, chains.tables),
            segments=segment_views(graph, counters, segments, cache.answers()),
            flow_cache=cache.view(),
        )
    )
    return Source(
        text=text,
        files={
            **{f"ebpfnf/{name}": (FRAMEWORK / name).read_text() for name in _HEADERS},
            **{f"mnf/{name}.c": bodies[folder] for folder, name in includes.items()},
        },
        authors={f"mnf/{name}.c": f"{folder}/mnf.c" for folder, name in includes.items()},
        programs=tuple(program_name(segments, k, resumes=bool(machines)) for k in range(count)),
        maps=maps,
        tables=tuple(table for owner in owners for table in owner.tables),
        counters=tuple(counters.all),
        slot=slot,
        const=layout.const_layout(len(const)),
        map_ids={number: name for name, number in ids.items()},
        loops=loops,
    )


def _includes(stages: Sequence[Stage]) -> dict[str, str]:
    """What each mNF's body is called in the module. During a swap two versions of one mNF may stand side by side."""
    names: dict[str, str] = {}
    for stage in stages:
        if stage.mnf.folder not in names:
            versions = sum(1 for s in stages if s.mnf.name == stage.mnf.name and s.mnf.folder in names)
            names[stage.mnf.folder] = f"{stage.mnf.name}__{versions + 1}" if versions else stage.mnf.name
    return names


def _maps(graph: Graph, programs: int, slot: SlotLayout, const: bytes) -> tuple[MapSpec, ...]:
    """The framework's own maps of a generation; `ingress` belongs to the deployment and is handed in by the agent."""
    return (
        MapSpec("ingress", "array", 4, 64, 1, Scope.DEPLOYMENT, per_cpu_slots=True),
        MapSpec("chain", "prog_array", 4, 4, programs),
        MapSpec("meta", "array", 4, slot.size, 1, per_cpu_slots=True),
        MapSpec("const", "array", 4, len(const), 1, flags=_RDONLY_PROG, frozen=const),
        MapSpec("ports", "devmap", 4, 4, len(graph.deployment.ports) + 1),
        *((MapSpec("functions", "array", 4, layout.FUNCTION_PORTS_SIZE, 1),) if graph.deployment.functions else ()),
    )


def _vm_maps(numbers: Mapping[str, int], words: int) -> tuple[MapSpec, ...]:
    """Where packets go that a VM handles, what the agent says of the VMs, the records that wait for them, and which flow is known where."""
    if not numbers:
        return ()
    stages = len(numbers)
    return (
        MapSpec("vms", "devmap", 4, 4, stages * VM_INSTANCES),
        MapSpec("vm_state", "array", 4, layout.vm_state_size(stages), 1),
        MapSpec("vm_records", "array", 4, layout.vm_saved_size(words), stages * VM_INSTANCES * layout.VM_RECORDS),
        MapSpec("vm_windows", "array", 4, stages * VM_INSTANCES * layout.VM_WINDOW_SIZE, 1, flags=_MMAPABLE),
        *(
            MapSpec(f"vm_flows_{number}", "lru_hash", 8, 8, layout.VM_FLOWS, Scope.STATE, pin=vm_flows_pin(stage))
            for stage, number in numbers.items()
        ),
    )


def _vm(stages: int, words: int, unknown: int) -> dict[str, CInt]:
    return {
        "stages": CInt(stages),
        "instances": CInt(VM_INSTANCES),
        "records": CInt(layout.VM_RECORDS),
        "saved_size": CInt(layout.vm_saved_size(words)),
        "state_size": CInt(layout.vm_state_size(stages)),
        "window_size": CInt(layout.VM_WINDOW_SIZE),
        "unknown": CInt(unknown),
    }


def _member(member: layout.Member) -> dict[str, Any]:
    return {"name": CIdent(member.name), "c": CType(member.c), "count": CInt(member.count)}


def _stage(stage: Stage, own: Made, place: layout.Configuration, ids: Mapping[str, int], include: str) -> dict[str, Any]:
    return {
        "id": CIdent(c_identifier(stage.id)),
        "mnf": CIdent(include),
        "cfg": [_member(layout.Member(c_field(name), kind.c)) for name, kind in place.record.fields] if place.record else [],
        "cfg_offset": CInt(place.offset),
        "scratch": [_member(m) for m in layout.scratch_members(stage)],
        "reasons": [CIdent(name) for name in stage.mnf.reasons],
        "outcomes": [CIdent(name) for name in stage.mnf.outcomes],
        "tables": own.views(ids),
        "aliases": [CIdent(name) for name in own.aliases],
        "defines": _defines(stage),
    }


def _defines(stage: Stage) -> Sequence[tuple[CIdent, CInt]]:
    """The names of enum parameters: <PARAM>_<NAME>. Those of table values come with the table."""
    kinds = [(p.name, type_of(p.type)) for p in stage.mnf.params if not p.type.startswith("list[")]
    return [
        (CIdent(f"{name}_{each}".upper()), CInt(number))
        for name, kind in kinds
        if isinstance(kind, Enumeration)
        for number, each in enumerate(kind.names)
    ]
