"""What must hold for a graph before anything is generated from it."""

from __future__ import annotations

from collections import defaultdict

from ebpfnf import names
from ebpfnf.errors import GraphError, SpecErrors
from ebpfnf.model import Fields, Graph, Stage

MAX_POSITIONS = 512  # one program must stay below the verifier's million


def check(graph: Graph, fields: Fields) -> None:
    """Raises SpecErrors: metadata read before it is written, a table that two CPUs would tear apart, a graph too large."""
    errors = [*_metadata_errors(graph, fields), *_scope_errors(graph), *_name_errors(graph)]
    if len(graph.positions) > MAX_POSITIONS:
        errors.append(GraphError(f"the chains expand to {len(graph.positions)} mNFs, at most {MAX_POSITIONS} fit"))
    if errors:
        raise SpecErrors(tuple(errors))


def _metadata_errors(graph: Graph, fields: Fields) -> list[GraphError]:
    """On every way to a position, what it reads of m.* must have been written: by parse, or by a stage before it."""
    stages: dict[str, Stage] = {stage.id: stage for stage in graph.stages}
    chains = {chain.name: chain for chain in graph.deployment.chains}
    always = frozenset(f"m.{field.name}" for field in fields.metadata.values() if field.by_parse)
    into: dict[int, list[int]] = defaultdict(list)
    for link in graph.links:
        into[link.target].append(link.source)
    written: dict[int, frozenset[str]] = {}
    errors = []
    for position in graph.positions:  # topological: all sources come before
        stage, chain = stages[position.stage], chains[position.chain]
        ways = [written[source] for source in into[position.index] if source in written]
        if graph.entries[position.chain] == position.index:
            ways.append(always)
        known = frozenset.intersection(*ways) if ways else always
        own = frozenset(f"m.{stage.mnf.name}.{name}" for name in stage.mnf.metadata)
        for name in sorted(stage.mnf.reads_in(chain.direction)):
            if name.startswith("m.") and name not in known | own:
                at = chain.path_where[position.vnf_index] if position.vnf_index < len(chain.path_where) else chain.where
                writers = sorted({s.mnf.name for s in graph.stages if name in s.mnf.writes})
                cure = f"'{writers[0]}' writes it: put it before" if writers else "no mNF of this deployment writes it"
                errors.append(
                    GraphError(f"chain '{chain.name}': '{position.stage}' reads '{name}', which nothing wrote on some way to it", at, cure)
                )
        written[position.index] = known | own | {name for name in stage.mnf.writes if name.startswith("m.")}
    return errors


def _name_errors(graph: Graph) -> list[GraphError]:
    """Names nest, and what they name is pinned."""
    tables = [f"{stage.id}.{table.name}" for stage in graph.stages for table in stage.mnf.tables]
    cure = f"at most {names.MAX_TABLE} characters: fewer templates in one another, or shorter names"
    return [GraphError(f"table '{name}' has a name of {len(name)} characters", cure=cure) for name in tables if len(name) > names.MAX_TABLE]


def _scope_errors(graph: Graph) -> list[GraphError]:
    """Packet-filled tables of scope cpu are refused where both directions use them: the two halves of a flow may land on two CPUs."""
    directions: dict[str, set[str]] = defaultdict(set)
    chains = {chain.name: chain for chain in graph.deployment.chains}
    for position in graph.positions:
        directions[position.stage].add(chains[position.chain].direction)
    return [
        GraphError(f"'{stage.id}': table '{table.name}' is kept per CPU, but both directions use it", table.where, "write 'scope: host'")
        for stage in graph.stages
        for table in stage.mnf.tables
        if len(directions[stage.id]) == 2 and table.scope == "cpu" and table.kind in ("exact", "connections")
    ]
