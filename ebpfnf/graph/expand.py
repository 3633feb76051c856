"""Chains of VNF instances become one graph: a position for each mNF that a chain may pass, a stage for each that owns state."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from ebpfnf.errors import GraphError, SpecErrors
from ebpfnf.model import DROPPED, EXIT, PASSED, Chain, Deployment, Graph, Instance, Link, Position, Reference, Stage, Vnf, VnfNode

ROUTE = "route"  # the instance that `then: route` appends
_DEFAULTS = {"NEXT": EXIT, "DROP": DROPPED, "PASS": PASSED}


def expand(deployment: Deployment, router: Vnf) -> Graph:
    """The deployment's graph. `router` is the template behind `then: route`.

    Raises SpecErrors (of GraphErrors): a cycle, an outcome without a link or default, a node that nothing reaches.
    """
    instances = {i.name: i for i in deployment.instances}
    if any(chain.then == ROUTE for chain in deployment.chains):
        instances[ROUTE] = Instance(ROUTE, router, {})
    errors = [error for i in instances.values() for error in _template_errors(i.vnf)]
    if errors:
        raise SpecErrors(tuple(errors))

    stages = {stage.id: stage for i in instances.values() for stage in _stages(i)}
    positions: list[Position] = []
    links: list[Link] = []
    entries: dict[str, int] = {}
    for chain in deployment.chains:
        entries[chain.name] = _expand_chain(chain, instances, positions, links)
    used = {p.stage for p in positions}
    return Graph(deployment, tuple(s for s in stages.values() if s.id in used), tuple(positions), tuple(links), entries)


def _stages(instance: Instance) -> list[Stage]:
    return [
        Stage(f"{instance.name}.{node.name}", instance.name, node.name, node.mnf, _configuration(instance, node))
        for node in instance.vnf.nodes
    ]


def _configuration(instance: Instance, node: VnfNode) -> Mapping[str, Any]:
    """Every parameter of the mNF with its value: given, referred to, or default."""
    config = {}
    for param in node.mnf.params:
        value = node.arguments.get(param.name, param.default)
        config[param.name] = instance.arguments[value.name] if isinstance(value, Reference) else value
    return config


def _expand_chain(chain: Chain, instances: Mapping[str, Instance], positions: list[Position], links: list[Link]) -> int:
    """Appends the chain's positions and links; the index of its first position, or EXIT for an empty path."""
    path = [instances[name] for name in chain.path]
    if chain.then == ROUTE:
        path.append(instances[ROUTE])

    at: dict[tuple[int, str], int] = {}
    for k, instance in enumerate(path):
        for name in _order(instance.vnf, chain.direction):
            at[k, name] = len(positions)
            positions.append(Position(len(positions), chain.name, f"{instance.name}.{name}", k))

    entry = [at[k, instance.vnf.entry[chain.direction]] for k, instance in enumerate(path)] + [EXIT]
    for k, instance in enumerate(path):
        nodes = {node.name: node for node in instance.vnf.nodes}
        linked = {(link.source, link.outcome): link.target for link in instance.vnf.links}
        for name, index in ((n, i) for (j, n), i in at.items() if j == k):
            for outcome, default in _outcomes(nodes[name]).items():
                target = linked.get((name, outcome))
                if target is not None:
                    links.append(Link(index, outcome, entry[k + 1] if target == "exit" else at[k, target]))
                elif _DEFAULTS[default] == EXIT:  # NEXT: as if the body had said so
                    following = linked[name, "NEXT"]
                    links.append(Link(index, outcome, entry[k + 1] if following == "exit" else at[k, following], default=True))
                else:
                    links.append(Link(index, outcome, _DEFAULTS[default], default=True))
    return entry[0]


def _outcomes(node: VnfNode) -> Mapping[str, str]:
    """NEXT, if the body may say so, and the declared outcomes, each with its default."""
    nexts = {"NEXT": ""} if "NEXT" in node.mnf.verdicts else {}
    return {**nexts, **node.mnf.outcomes}


def _order(vnf: Vnf, direction: str) -> list[str]:
    """The nodes that the direction's entry reaches, in topological order, ties in file order."""
    after: dict[str, list[str]] = {node.name: [] for node in vnf.nodes}
    for link in vnf.links:
        if link.target != "exit":
            after[link.source].append(link.target)
    reached: set[str] = set()
    todo = [vnf.entry[direction]]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += after[name]
    place = {node.name: k for k, node in enumerate(vnf.nodes)}
    before: dict[str, set[str]] = {name: set() for name in reached}
    for name in reached:
        for target in after[name]:
            before[target].add(name)
    sorter = TopologicalSorter(before)
    sorter.prepare()
    order: list[str] = []
    ready = set(sorter.get_ready())
    while ready:
        name = min(ready, key=place.__getitem__)
        ready.remove(name)
        order.append(name)
        sorter.done(name)
        ready |= set(sorter.get_ready())
    return order


def _template_errors(vnf: Vnf) -> list[GraphError]:
    """What is wrong with the template's graph itself."""
    errors = []
    linked = {(link.source, link.outcome) for link in vnf.links}
    for node in vnf.nodes:
        offered = ", ".join(_outcomes(node))
        for outcome, default in _outcomes(node).items():
            if not default and (node.name, outcome) not in linked:
                errors.append(
                    GraphError(f"vnf '{vnf.name}': outcome '{outcome}' of '{node.name}' has no link (outcomes: {offered})", node.where)
                )
    nodes = {node.name: node for node in vnf.nodes}
    for link in vnf.links:
        if link.outcome not in _outcomes(nodes[link.source]):
            wanted = ", ".join(_outcomes(nodes[link.source])) or "none"
            errors.append(GraphError(f"vnf '{vnf.name}': '{link.source}' has no outcome '{link.outcome}' (outcomes: {wanted})", link.where))
    try:
        tuple(TopologicalSorter({n.name: {k.source for k in vnf.links if k.target == n.name} for n in vnf.nodes}).static_order())
    except CycleError as error:
        errors.append(GraphError(f"vnf '{vnf.name}': links form a cycle: {' -> '.join(reversed(error.args[1]))}", vnf.where))
        return errors
    reached = {name for direction in ("forward", "reverse") for name in _order(vnf, direction)}
    for node in vnf.nodes:
        if node.name not in reached:
            errors.append(GraphError(f"vnf '{vnf.name}': nothing leads to '{node.name}'", node.where, "link it or take it out"))
    return errors
