"""What the files say: manifests, templates, chain.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ebpfnf.errors import Where
from ebpfnf.model.ports import Function, Port


@dataclass(frozen=True, slots=True)
class HeaderField:
    """A field of the packet (fields.yaml, `header:`)."""

    name: str  # ip.src
    c: str  # what get_<name> returns
    type: str  # how a person writes it
    match: str  # exact | mask | range | no
    needs: str  # eth | vlan | ip | l4 | tcp
    write: bool = False
    varies: bool = False  # from packet to packet of a flow


@dataclass(frozen=True, slots=True)
class MetadataField:
    """A field of the record that travels with a packet (fields.yaml, `metadata:`)."""

    name: str  # hash
    c: str
    by_parse: bool  # always written; else an mNF on the way must write it
    doc: str = ""
    varies: bool = False  # from packet to packet of a flow


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
    asks: str = ""  # what the body looks at besides packet and tables, in words: the clock, the kernel's routes

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
    lossy: bool = False  # it may miss packets


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
    flow_cache: int = 0  # flows that each CPU remembers; 0: none
