"""The tables of stages, and the one of the classifier: what the kernel must hold, what the C needs to know."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ebpfnf.errors import GenerateError, TableError
from ebpfnf.generate.typed import CIdent, CInt
from ebpfnf.generate.ways import ways
from ebpfnf.model import Chain, Fields, Graph, MapSpec, Parting, Stage, Table
from ebpfnf.names import c_identifier
from ebpfnf.tables.build import build, match_field
from ebpfnf.tables.direct.choose import chosen
from ebpfnf.tables.layout import kernel_maps, layout_digest
from ebpfnf.tables.match import HAVE, describe
from ebpfnf.tables.meet import Match
from ebpfnf.tables.view import template_view

_SETS = ("exact", "connections")
CLASSIFIER = "framework.classify.chains"


@dataclass(frozen=True, slots=True)
class Made:
    """The tables of one owner; names in C begin with `prefix`."""

    prefix: str
    tables: tuple[Table, ...]
    maps: tuple[MapSpec, ...]

    def views(self, ids: Mapping[str, int]) -> list[Any]:
        """What the template needs of each table, as values that may be printed."""
        return [_typed(template_view(table, self.prefix, ids)) for table in self.tables]

    @property
    def loops(self) -> tuple[str, ...]:
        """The functions that accessors hand to bpf_loop, as automaton.c.j2 and direct_sets.c.j2 call them."""
        return tuple(
            f"{self.prefix}_{table.name.rpartition('.')[2]}_{'chunk' if table.kind == 'automaton' else 'make'}"
            for table in self.tables
            if table.kind == "automaton" or (table.backing == "direct" and table.filled_by == "packets" and table.kind in _SETS)
        )

    @property
    def aliases(self) -> tuple[str, ...]:
        """What a body calls without the prefix."""
        ids = {spec.name: 0 for spec in self.maps}
        return tuple(dict.fromkeys(name for table in self.tables for name in template_view(table, self.prefix, ids).aliases))


def made(stage: Stage, fields: Fields, mode: str = "auto") -> Made:
    """A stage's tables, filled as its configuration says."""
    try:
        tables = tuple(build(spec, stage, fields, mode) for spec in stage.mnf.tables)
        return Made(c_identifier(stage.id), tables, tuple(m for table in tables for m in kernel_maps(table)))
    except TableError as error:
        raise GenerateError(error.what, error.where or stage.mnf.where, error.cure) from None


def classifier(graph: Graph, fields: Fields) -> Made:
    """The chains' matches as one ACL over the ports: the first that fits takes the packet. Where paths part, it finds the classes too."""
    chains = graph.deployment.chains
    known = {name: match_field(fields, name) for name, field in fields.header.items() if field.match != "no"}
    every = [(chain, number, way) for number, chain in enumerate(chains, 1) for way in ways(chain, known)]
    named = dict.fromkeys(key for _, _, (match, _) in every for key in match)
    key = describe([match_field(fields, name) for name in ("m.in_port", *named)])
    ports = {port.name: port.number for port in graph.deployment.ports}
    parts = any(isinstance(item, Parting) for chain in chains for item in chain.path)
    entries = tuple(
        (str(k), _rule(chain, match, ports[chain.on]) | {"chain": number} | ({"parts": classes} if parts else {}))
        for k, (chain, number, (match, classes)) in enumerate(every, 1)
    )
    value = [["chain", "u32"], *([["parts", "u32"]] if parts else [])]
    table = Table(CLASSIFIER, "framework-classify-chains", "acl", key, value, 4096, "operator", "host", "", False, entries=entries)
    table = chosen(dataclasses.replace(table, layout=layout_digest(table)), graph.deployment.tables)
    return Made("classify", (table,), kernel_maps(table))


def _rule(chain: Chain, way: Match, port: int) -> dict[str, Any]:
    """Without eth.type a chain takes IP only; neighbour discovery and MLD only where ip.proto icmpv6 is named."""
    rule: dict[str, Any] = {"match": {"m.in_port": [port], **{name: list(values) for name, values in way.items()}}}
    if "eth.type" not in chain.match:
        rule["require"] = HAVE["ip"]
        if "icmpv6" not in chain.match.get("ip.proto", ()):
            rule["exclude"] = HAVE["nd"]
    return rule


def _typed(value: Any) -> Any:
    """A view with every string as an identifier, so that nothing else can be printed."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _typed(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return tuple(_typed(item) for item in value)
    if isinstance(value, str):
        return CIdent(value) if value else ""
    return CInt(value)
