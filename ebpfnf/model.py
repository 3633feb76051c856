"""Every value that flows from chain.yaml to the host, frozen. Standard library only: it travels with the agent.

Deployment ─ graph ─▶ Graph ─ segment ─▶ Segments ─ generate ─▶ Source ─ compile ─▶ Bundle ─▶ agent
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ebpfnf.errors import Where

# ---------------------------------------------------------------- what the files say


@dataclass(frozen=True, slots=True)
class HeaderField:
    """A field of the packet (fields.yaml, `header:`)."""

    name: str  # ip.src
    c: str  # what get_<name> returns
    type: str  # how a person writes it
    match: str  # exact | mask | range | no
    needs: str  # eth | vlan | ip | l4 | tcp
    write: bool = False


@dataclass(frozen=True, slots=True)
class MetadataField:
    """A field of the record that travels with a packet (fields.yaml, `metadata:`)."""

    name: str  # hash
    c: str
    by_parse: bool  # always written; else an mNF on the way must write it
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Fields:
    """fields.yaml: the only list of fields."""

    header: Mapping[str, HeaderField]
    metadata: Mapping[str, MetadataField]


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """A parameter that an mNF or VNF takes. `type` is a spelling of `tables.types`, or `list[T]`."""

    name: str
    type: str
    default: Any = None  # already parsed to `type`; None and required means: must be given
    required: bool = True
    doc: str = ""
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table as an mNF's manifest declares it (`state:`)."""

    name: str
    kind: str  # exact prefix acl connections counter histogram consistent_hash automaton
    key: str | tuple[str, ...] | Mapping[str, str] | None  # a type's spelling, or a record; for acl the fields that are matched
    value: str | Mapping[str, str] | None  # a scalar type's spelling, or a record field -> type
    size: int  # entries at most
    filled_by: str = "packets"  # operator | packets
    entries: str = ""  # the parameter (a list) that fills an operator's table
    scope: str = ""  # cpu | host
    when_full: str = ""  # evict | refuse
    keep: bool = False
    buckets: tuple[int, ...] = ()  # histogram: inclusive upper bounds; what is above goes to one more
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Mnf:
    """A manifest (`mnf.yaml`) with the folder that holds its body (`mnf.c`)."""

    name: str
    folder: str  # empty: the framework does it
    summary: str
    reads: frozenset[str]
    writes: frozenset[str]
    reads_when: Mapping[str, frozenset[str]]  # forward | reverse -> what is read only in that direction
    verdicts: tuple[str, ...]  # NEXT DROP PASS TX REDIRECT, as declared
    outcomes: Mapping[str, str]  # TO(x): x -> default (NEXT DROP PASS, or "" : a link is required)
    params: tuple[ParamSpec, ...]
    tables: tuple[TableSpec, ...]
    reasons: Mapping[str, str]  # name -> text, in file order
    metadata: Mapping[str, str]  # its own fields m.<mnf>.<name> -> scalar type
    scratch: Mapping[str, str]  # per-packet working memory -> scalar type or type[n]
    runs_in: str = "xdp"
    where: Where | None = None
    writes_always: frozenset[str] = frozenset()  # of `writes`: what every packet that goes on has got from here

    @property
    def has_body(self) -> bool:
        """Whether there is C to compile into the program: not for what runs elsewhere, nor for what the framework does."""
        return self.runs_in == "xdp" and bool(self.folder)

    def reads_in(self, direction: str) -> frozenset[str]:
        """What the body reads when it is passed in this direction."""
        return self.reads | self.reads_when.get(direction, frozenset())


@dataclass(frozen=True, slots=True)
class Reference:
    """`$name` in a template: a typed value, never text."""

    name: str


@dataclass(frozen=True, slots=True)
class When:
    """A condition over a template's parameters: `param` has one of `values`, or all, any or none of `parts` hold."""

    kind: str  # is | all | any | not
    param: str = ""
    values: tuple[Any, ...] = ()
    parts: tuple[When, ...] = ()

    def holds(self, arguments: Mapping[str, Any]) -> bool:
        """Whether it holds for these values of the parameters."""
        if self.kind == "is":
            return arguments[self.param] in self.values
        found = [part.holds(arguments) for part in self.parts]
        return all(found) if self.kind == "all" else any(found) if self.kind == "any" else not any(found)

    @property
    def params(self) -> frozenset[str]:
        """The parameters that it asks for."""
        return frozenset({self.param} if self.kind == "is" else set()).union(*(part.params for part in self.parts))


@dataclass(frozen=True, slots=True)
class VnfNode:
    """One mNF inside a VNF template; `arguments` are values, or `Reference`s to the VNF's parameters."""

    name: str
    mnf: Mnf
    arguments: Mapping[str, Any]
    where: Where | None = None
    when: When | None = None  # else it is left out: what leads to it leads to where its NEXT leads


@dataclass(frozen=True, slots=True)
class VnfUse:
    """Another template inside a VNF template: packets go in by its entry, and on by NEXT where it says `exit`."""

    name: str
    vnf: Vnf
    arguments: Mapping[str, Any]
    where: Where | None = None
    when: When | None = None


@dataclass(frozen=True, slots=True)
class VnfLink:
    """`source.outcome -> target`; target may be `exit`. Of several for one outcome the first that holds is taken."""

    source: str
    outcome: str  # NEXT or a declared outcome
    target: str
    where: Where | None = None
    when: When | None = None


@dataclass(frozen=True, slots=True)
class Vnf:
    """A template (`vnf.yaml`)."""

    name: str
    summary: str
    params: tuple[ParamSpec, ...]
    nodes: tuple[VnfNode | VnfUse, ...]
    links: tuple[VnfLink, ...]  # complete: the default order is already written out
    entry: Mapping[str, str]  # forward, reverse -> node
    where: Where | None = None

    def mnfs(self) -> Iterator[tuple[str, VnfNode]]:
        """Every mNF in it, those of templates inside too: `<node>`, or `<use>.<node>`."""
        for node in self.nodes:
            if isinstance(node, VnfNode):
                yield node.name, node
            else:
                yield from ((f"{node.name}.{name}", inner) for name, inner in node.vnf.mnfs())


@dataclass(frozen=True, slots=True)
class Instance:
    """A name in `vnfs:`: one configuration, one state, one set of counters."""

    name: str
    vnf: Vnf
    arguments: Mapping[str, Any]  # parameter -> typed value
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """A logical name bound to an interface. Numbers count from 1, in file order."""

    name: str
    number: int
    interface: str
    otherwise: str = "pass"  # pass | drop | out:<port>
    fragments: str = "drop"  # drop | pass
    on_fault: str = "drop"  # drop | pass
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class TrafficClass:
    """A part of a chain's packets, by what they were received as, and the piece of the path that is theirs."""

    name: str
    match: Mapping[str, tuple[Any, ...]]
    path: ChainPath
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Parting:
    """Where a path parts: the first class that fits takes the packet. Behind it all go on together, those of no class at once.

    The classifier leaves the class's number, from 1, in `bits` bits of m.parts, above `shift` others.
    """

    name: str  # of the stage `chain.<chain>.<name>`
    classes: tuple[TrafficClass, ...]
    shift: int
    bits: int
    where: Where | None = None


ChainPath = tuple["str | Parting", ...]  # instances, and partings


@dataclass(frozen=True, slots=True)
class Chain:
    """A service function chain: what it takes, which VNFs, in which order, and what then."""

    name: str
    on: str
    direction: str  # forward | reverse
    match: Mapping[str, tuple[Any, ...]]  # match key -> any of these typed values; empty: all IP
    path: ChainPath
    then: str  # route | pass | reflect | drop | out:<port>
    where: Where | None = None
    path_where: tuple[Where, ...] = ()  # of each instance and parting, those of classes behind their parting


@dataclass(frozen=True, slots=True)
class Expectation:
    """A line of `expect:`."""

    on: str
    packet: str
    verdict: str
    chain: str = ""
    reason: str = ""
    port: str = ""
    by: str = ""
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class TestbedPort:
    """What surrounds a port in `ebpfnf test`, in `replay` and in the lab."""

    addresses: tuple[str, ...] = ()  # of the host, with prefix length: 192.0.2.1/24
    routes: tuple[tuple[str, str], ...] = ()  # (prefix, address of the next hop)
    neighbours: Mapping[str, str] = field(default_factory=dict)  # address -> MAC
    where: Where | None = None

    __test__ = False  # pytest: no test class


@dataclass(frozen=True, slots=True)
class Testbed:
    """The surroundings that `testbed:` gives to ports, by port name; a port that isn't named has none."""

    ports: Mapping[str, TestbedPort] = field(default_factory=dict)

    __test__ = False


@dataclass(frozen=True, slots=True)
class Image:
    """What a machine boots: files of the host that it runs on, with the sums that they had when the bundle was built."""

    kernel: str = ""
    initrd: str = ""
    arguments: str = ""
    disk: str = ""
    format: str = "raw"  # raw | qcow2
    memory: int = 128  # MiB
    vcpus: int = 1
    ready: str = ""  # what it says on its serial console when it serves; empty: it serves when it has carrier
    sums: tuple[str, ...] = ()  # sha256 of each of `files`

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of kernel, initrd and disk, as far as there are such."""
        return tuple(path for path in (self.kernel, self.initrd, self.disk) if path)


@dataclass(frozen=True, slots=True)
class Function:
    """A network function of somebody else's: packets go to it by one of its ports, and come back, as new ones, by the other."""

    name: str
    ports: tuple[str, ...]  # one or two
    on_failure: str = "drop"  # bypass | drop: what becomes of its packets while it has no carrier
    macs: tuple[str, ...] = ()  # of its interface behind each port, for frames to be addressed to it; empty: they go as they are
    image: Image | None = None  # what the agent boots behind the ports; None: somebody else keeps it
    where: Where | None = None

    def back(self, port: str) -> str:
        """The port by which comes back what left by `port`."""
        return self.ports[self.ports.index(port) - 1]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One chain.yaml, with the templates and manifests that it uses."""

    name: str
    ports: tuple[Port, ...]
    instances: tuple[Instance, ...]
    chains: tuple[Chain, ...]
    expect: tuple[Expectation, ...] = ()
    granularity: str = "chain"  # auto | mnf | vnf | chain
    file: str = ""
    testbed: Testbed = field(default_factory=Testbed)
    optimise: bool = True
    tables: str = "auto"  # auto | kernel | direct: what stands behind tables (docs/decisions/030-direct-tables.md)
    place: str = ""  # FILE[:GROUP]: the inventory's hosts that it is deployed on; empty: this machine
    functions: tuple[Function, ...] = ()


# ---------------------------------------------------------------- the graph


@dataclass(frozen=True, slots=True)
class Stage:
    """An mNF in an instance: the owner of state and configuration. `id` is `<instance>.<node>`, `<instance>.<use>.<node>` inside a use."""

    id: str
    instance: str
    node: str
    mnf: Mnf
    config: Mapping[str, Any]  # parameter -> typed value


@dataclass(frozen=True, slots=True)
class Position:
    """A stage at its place in one chain. The same stage may stand in several chains.

    The index is the place in the unoptimised graph, and stays: an optimised graph has fewer positions, in another order.
    """

    index: int
    chain: str
    stage: str
    vnf_index: int  # which element of the chain's path, counted as in Chain.path_where
    branch: str = ""  # the class that it stands in, `<class>` or `<class>.<inner class>`; empty: all packets of the chain come by


@dataclass(frozen=True, slots=True)
class Link:
    """`source` by `outcome` goes to `target`, a position's index, or one of EXIT, DROPPED, PASSED."""

    source: int
    outcome: str  # NEXT or a declared outcome
    target: int
    default: bool = False  # no link was written: the manifest's default was taken


EXIT = -1  # the chain's `then`
DROPPED = -2  # an outcome's default
PASSED = -3


@dataclass(frozen=True, slots=True)
class Graph:
    """What the chains expand to. Positions are in topological order, links go forward only.

    An optimised graph remembers the one that it came from: that says what the deployment means, what is counted and for whom.
    """

    deployment: Deployment
    stages: tuple[Stage, ...]
    positions: tuple[Position, ...]
    links: tuple[Link, ...]
    entries: Mapping[str, int]  # chain -> index of its first position, or EXIT
    unoptimised: Graph | None = None

    @property
    def meaning(self) -> Graph:
        """The graph as the files say it."""
        return self.unoptimised or self


@dataclass(frozen=True, slots=True)
class Segments:
    """Which positions are fused into one program. Segment 0 is the entry: parse and classify.

    `groups[0]` holds the positions fused with the entry (maybe none). Every position is in one group.
    """

    groups: tuple[tuple[int, ...], ...]


# ---------------------------------------------------------------- the generated program


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
    per_cpu_entries: bool = False  # max_entries is for each CPU
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
    slots: int = 0  # direct acl: records that its large part holds


@dataclass(frozen=True, slots=True)
class Counter:
    """A slot of the per-CPU counters: what ended or left the straight way, and where."""

    index: int
    name: str  # edge.acl_deny, inbound.entered, wan.otherwise, ...
    kind: str  # entered drop pass tx redirect outcome otherwise fault; of stages in VMs: sent returned bypassed moved
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
    reasons: Mapping[str, str] = field(default_factory=dict)  # why guests drop: `<mnf>.<reason>` -> text


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
    positions: tuple[Mapping[str, Any], ...]  # of the unoptimised graph: index, chain, stage, segment (-1: none), served_by (-1: itself)
    links: tuple[Mapping[str, Any], ...]
    chains: tuple[Mapping[str, Any], ...]  # name, on, direction, path, then, match in text
    authors: Mapping[str, str] = field(default_factory=dict)
    certificate: Mapping[str, Any] = field(default_factory=dict)  # what the optimiser did, and why it was allowed to
    vms: tuple[Vm, ...] = ()
    functions: tuple[Function, ...] = ()
    version: int = 1
    digest: str = ""  # sha256 of everything else
