"""The classifier: which chain takes a packet, and of which classes it is where that chain's path parts.

One table finds both in one look, a rule for each way. Where ways multiply to more than it holds, it finds the chain, and each parting
has a table of its own, asked at the same place, before anything is written.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ebpfnf.errors import GenerateError, TableError
from ebpfnf.generate.state import Made
from ebpfnf.generate.ways import ways
from ebpfnf.model import Chain, ChainPath, Fields, Graph, Parting, Table
from ebpfnf.tables.build import match_field
from ebpfnf.tables.direct.choose import chosen
from ebpfnf.tables.layout import kernel_maps, layout_digest
from ebpfnf.tables.match import HAVE, MatchField, describe
from ebpfnf.tables.meet import Match

NAME = "framework.classify"
SIZE = 4096  # records, of which a rule takes one for each combination of its values
JOINT = SIZE  # of ways that are found in one look
Entry = tuple[Chain, Match, dict[str, int]]  # whose it is, what it matches, what is found


def classifier(graph: Graph, fields: Fields) -> Made:
    """The table of chains, then those of partings where they have any: `parts_<chain>_<k>`, chains counted from 1, partings from 0."""
    chains = graph.deployment.chains
    known = {name: match_field(fields, name) for name, field in fields.header.items() if field.match != "no"}
    parted = any(partings(chain.path) for chain in chains)
    alone: list[Entry] = [(chain, chain.match, {"chain": number}) for number, chain in enumerate(chains, 1)]
    joint = _joint(chains, known) if parted else alone
    if joint:
        return _made([_table(graph, fields, "chains", joint)])
    found = [_table(graph, fields, "chains", alone)]
    for number, chain in enumerate(chains, 1):
        for k, parting in enumerate(partings(chain.path)):
            own = [(chain, each.match, {"parts": place << parting.shift}) for place, each in enumerate(parting.classes, 1)]
            found.append(_table(graph, fields, f"parts_{number}_{k}", own))
    return _made(found)


def _joint(chains: Sequence[Chain], known: Mapping[str, MatchField]) -> list[Entry]:
    """A rule for each way of each chain; none where they multiply to more than one look finds: no more are made than show that."""
    every, records = list[Entry](), 0
    for number, chain in enumerate(chains, 1):
        for match, parts in ways(chain, known):
            every.append((chain, match, {"chain": number, "parts": parts}))
            records += math.prod(map(len, match.values()))
            if records > JOINT:
                return []
    return every


def partings(path: ChainPath) -> tuple[Parting, ...]:
    """All partings of a path, those inside of classes too."""
    return tuple(_partings(path))


def _partings(path: ChainPath) -> Iterator[Parting]:
    for item in path:
        if isinstance(item, Parting):
            yield item
            for each in item.classes:
                yield from _partings(each.path)


def _made(tables: Sequence[Table]) -> Made:
    return Made("classify", tuple(tables), tuple(spec for table in tables for spec in kernel_maps(table)))


def _table(graph: Graph, fields: Fields, name: str, entries: Sequence[Entry]) -> Table:
    named = dict.fromkeys(key for _, match, _ in entries for key in match)
    key = describe([match_field(fields, each) for each in ("m.in_port", *named)])
    ports = {port.name: port.number for port in graph.deployment.ports}
    rules = tuple((str(k), {**_rule(chain, match, ports[chain.on]), **found}) for k, (chain, match, found) in enumerate(entries, 1))
    value = [[each, "u32"] for each in (entries[0][2] if entries else {"chain": 0})]
    table = Table(
        f"{NAME}.{name}", f"{NAME}.{name}".replace(".", "-"), "acl", key, value, SIZE, "operator", "host", "", False, entries=rules
    )
    try:
        return chosen(dataclasses.replace(table, layout=layout_digest(table)), graph.deployment.tables)
    except TableError as error:
        where = entries[0][0].where if entries else None
        raise GenerateError(error.what, where, "matches by prefixes and ranges instead of lists") from None


def _rule(chain: Chain, match: Mapping[str, Sequence[Any]], port: int) -> dict[str, Any]:
    """Without eth.type a chain takes IP only; neighbour discovery and MLD only where ip.proto icmpv6 is named."""
    rule: dict[str, Any] = {"match": {"m.in_port": [port], **{name: list(values) for name, values in match.items()}}}
    if "eth.type" not in chain.match:
        rule["require"] = HAVE["ip"]
        if "icmpv6" not in chain.match.get("ip.proto", ()):
            rule["exclude"] = HAVE["nd"]
    return rule
