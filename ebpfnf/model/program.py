"""The generated and compiled program with its maps, tables and counters: what goes to a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ebpfnf.model.ports import Function, Port


class Scope(StrEnum):
    """How long a map lives."""

    GENERATION = "generation"  # made anew for each load
    STATE = "state"  # pinned under state/, shared by generations with the same layout
    DEPLOYMENT = "deployment"  # as long as the deployment


@dataclass(frozen=True, slots=True)
class MapSpec:
    """A kernel map. `per_cpu_slots`: one value of `value_size` bytes for each CPU, addressed directly
    (an ARRAY with one value of value_size * cpus rounded up to a power of two)."""

    name: str
    kind: str  # array hash lru_hash lpm_trie percpu_array percpu_hash prog_array devmap array_of_maps
    key_size: int
    value_size: int
    max_entries: int
    scope: Scope = Scope.GENERATION
    flags: int = 0
    per_cpu_slots: bool = False
    frozen: bytes | None = None  # contents of a read-only map (BPF_F_RDONLY_PROG, frozen before load)
    inner: MapSpec | None = None
    pin: str = ""  # the pin's name for STATE maps and tables


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the host sees it: its name, its types, the map behind it. Types are spelled as in tables.types."""

    name: str  # <instance>.<node>.<table>
    map: str
    kind: str
    key: Any  # type spelling, [[field, spelling], ...], or for acl what tables.match.describe makes
    value: Any  # type spelling or [[field, spelling], ...]: a list, since canonical JSON sorts a mapping and the order is the layout
    size: int
    filled_by: str
    scope: str
    when_full: str
    keep: bool
    buckets: tuple[int, ...] = ()
    entries: tuple[tuple[str, Any], ...] = ()  # (key, value) in text form; what the operator's file says
    layout: str = ""  # digest of key, value and kind: part of a kept map's pin
    backing: str = "kernel"  # kernel | direct: what stands behind it
    room: int = 0  # direct, filled by the operator: bytes of one half of it
    slots: int = 0  # direct acl: terms that its large part holds


@dataclass(frozen=True, slots=True)
class Counter:
    """A slot of the per-CPU counters: what ended or left the straight way, and where."""

    index: int
    name: str  # edge.acl_deny, inbound.entered, wan.otherwise, ...
    kind: str  # entered drop pass tx redirect outcome otherwise fault lost; of stages in VMs: sent returned bypassed moved
    port: str = ""
    chain: str = ""
    stage: str = ""
    position: int = -1
    text: str = ""  # the reason in words


@dataclass(frozen=True, slots=True)
class SlotLayout:
    """Offsets in the per-CPU slot of map `meta`, in bytes."""

    size: int
    exit: int  # struct exit: u32 xdp action, counter, port, position; then u64 generation mark
    clock: int  # u64 virtual time, used when the const map says so
    counts: int  # u64[counters]
    record: int = 0  # the packet's record as saved at the exit (private copies), up to counts


@dataclass(frozen=True, slots=True)
class ConstLayout:
    """Offsets in the frozen map `const` of what the host fills in before the load, in bytes."""

    size: int
    cpu_mask: int  # u32
    flags: int  # u32: bit 0 record exits, bit 1 virtual clock
    tick_ns: int  # u64: nanoseconds of one jiffy
    ports: int  # struct {u32 ifindex; u32 mtu;}[16], by port number


@dataclass(frozen=True, slots=True)
class Source:
    """Generated C with all that the compiler and the loader must know beside it."""

    text: str
    files: Mapping[str, str]  # name in #include -> text of the author's file
    authors: Mapping[str, str]  # name in #include -> path to show to a person
    programs: tuple[str, ...]  # function names; index = segment = slot in `chain`
    maps: tuple[MapSpec, ...]
    tables: tuple[Table, ...]
    counters: tuple[Counter, ...]
    slot: SlotLayout
    const: ConstLayout
    map_ids: Mapping[int, str]  # the symbolic id in ld_imm64 -> map name
    loops: Mapping[int, str] = field(default_factory=dict)  # the symbolic id -> the function that bpf_loop is given


@dataclass(frozen=True, slots=True)
class Program:
    """One compiled segment."""

    name: str
    insns: bytes
    relocations: tuple[tuple[int, str], ...]  # (instruction index of ld_imm64, map name); src_reg says fd or value
    btf: bytes = b""
    func_info: bytes = b""
    func_info_size: int = 8
    line_info: bytes = b""
    line_info_size: int = 16


BESIDE = "beside"  # the map of rings by which copies go to mNFs beside the path, and the program, the last, that reads one
COPY_BYTES = 2048  # of a frame, at most, that are copied
COPIES = 2048  # that one CPU's ring holds; a power of two
VM_INSTANCES = 8  # of one stage, at most


@dataclass(frozen=True, slots=True)
class Vm:
    """A stage that runs in virtual machines of its own. A later generation with the same digest takes them over, with their state."""

    stage: str
    number: int  # its place in the maps `vms` and `vm_state`
    on_failure: str  # bypass | drop: what becomes of packets while none of its machines serves
    instances: int
    image: bytes  # a bootable ELF (PVH)
    config: str  # what the guest reads when it starts: lines `<mnf>.<param> <value>`
    digest: str  # of image and config
    standby: int = 0  # machines more that wait, paused
    linger: int = 60 * 10**9  # ns for which a machine that shall end waits for the next packet of a flow


@dataclass(frozen=True, slots=True)
class Bundle:
    """The compiled, host-independent artefact. Written by `bundle.encode`, read by `bundle.decode`."""

    deployment: str
    ports: tuple[Port, ...]
    programs: tuple[Program, ...]
    maps: tuple[MapSpec, ...]
    tables: tuple[Table, ...]
    counters: tuple[Counter, ...]
    slot: SlotLayout
    const: ConstLayout
    stages: tuple[Mapping[str, Any], ...]  # id, mnf, instance, node, digest of body and manifest, config
    # Of the unoptimised graph: index, chain, stage, segment (-1: none), served_by (-1: itself); beside the path copied_in, the segment
    # where it gets its copies (-1: those of the position before it), else None.
    positions: tuple[Mapping[str, Any], ...]
    links: tuple[Mapping[str, Any], ...]
    chains: tuple[Mapping[str, Any], ...]  # name, on, direction, path, then, match in text
    authors: Mapping[str, str] = field(default_factory=dict)
    certificate: Mapping[str, Any] = field(default_factory=dict)  # what the optimiser did, and why it was allowed to
    vms: tuple[Vm, ...] = ()
    functions: tuple[Function, ...] = ()
    version: int = 1
    digest: str = ""  # sha256 of everything else
