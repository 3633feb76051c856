"""Chains of VNF instances become one graph: a position for each mNF that a chain may pass, a stage for each that owns state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from ebpfnf.errors import GraphError, SpecErrors
from ebpfnf.graph.flatten import LEAVE, Flat, flatten
from ebpfnf.model import (
    DROPPED,
    EXIT,
    PASSED,
    Chain,
    ChainPath,
    Deployment,
    Graph,
    Instance,
    Link,
    Mnf,
    Parting,
    Position,
    Stage,
    Vnf,
    VnfNode,
    VnfUse,
)

ROUTE = "route"  # the instance that `then: route` appends
PART = "part"  # what the framework's own mNF is called that parts a path by classes
_DEFAULTS = {"NEXT": EXIT, "DROP": DROPPED, "PASS": PASSED}


def expand(deployment: Deployment, router: Vnf) -> Graph:
    """The deployment's graph. `router` is the template behind `then: route`.

    Raises SpecErrors (of GraphErrors): a cycle, an outcome without a link or default, a node that nothing reaches.
    """
    instances = {i.name: i for i in deployment.instances}
    if any(chain.then == ROUTE for chain in deployment.chains):
        instances[ROUTE] = Instance(ROUTE, router, {})
    templates: dict[int, Vnf] = {}
    for instance in instances.values():
        _collect(instance.vnf, templates)
    errors = [error for vnf in templates.values() for error in _template_errors(vnf)]
    if errors:
        raise SpecErrors(tuple(errors))

    flats = {(i.name, d): flatten(i.vnf, i.arguments, d) for i in instances.values() for d in ("forward", "reverse")}
    stages = {stage.id: stage for i in instances.values() for stage in _stages(i, flats)}
    positions: list[Position] = []
    links: list[Link] = []
    entries: dict[str, int] = {}
    for chain in deployment.chains:
        expansion = _Expansion(chain, flats, stages, positions, links)
        entries[chain.name] = expansion.link(expansion.lay((*chain.path, *([ROUTE] if chain.then == ROUTE else []))), EXIT)
    links.sort(key=lambda link: link.source)
    used = {p.stage for p in positions}
    return Graph(deployment, tuple(s for s in stages.values() if s.id in used), tuple(positions), tuple(links), entries)


def _stages(instance: Instance, flats: Mapping[tuple[str, str], Flat]) -> list[Stage]:
    """The mNFs that are not left out, in file order."""
    there = {**flats[instance.name, "reverse"].mnfs, **flats[instance.name, "forward"].mnfs}
    names = [name for name, _ in instance.vnf.mnfs() if name in there]
    return [Stage(f"{instance.name}.{name}", instance.name, name, *there[name], instance.lossy) for name in names]


@dataclass(slots=True)
class _Hop:
    """An instance on a chain's path with the positions of its mNFs, or a parting with its own and the pieces of its classes."""

    at: Mapping[str, int]
    flat: Flat | None = None
    classes: Mapping[str, list[_Hop]] | None = None


@dataclass(slots=True)
class _Expansion:
    """Appends one chain's positions, then its links."""

    chain: Chain
    flats: Mapping[tuple[str, str], Flat]
    stages: dict[str, Stage]
    positions: list[Position]
    links: list[Link]
    number: int = -1  # of what stands in the path

    def lay(self, path: ChainPath, branch: str = "") -> list[_Hop]:
        """Positions in topological order: a parting, its classes one after the other, then what is behind it."""
        found = []
        for item in path:
            self.number += 1
            if isinstance(item, Parting):
                stage = parting_stage(self.chain, item)
                self.stages[stage.id] = stage
                at = {"": self.place(stage.id, branch)}
                inner = {c.name: self.lay(c.path, f"{branch}.{c.name}".strip(".")) for c in item.classes}
                found.append(_Hop(at, classes=inner))
            else:
                flat = self.flats[item, self.chain.direction]
                found.append(_Hop({name: self.place(f"{item}.{name}", branch) for name in flat.mnfs}, flat))
        return found

    def place(self, stage: str, branch: str) -> int:
        """A position; its index."""
        self.positions.append(Position(len(self.positions), self.chain.name, stage, self.number, branch))
        return len(self.positions) - 1

    def link(self, hops: list[_Hop], after: int) -> int:
        """Links of all that is laid, to `after` behind the last; where packets come in."""
        for hop in reversed(hops):
            if hop.classes is not None:
                index = hop.at[""]
                self.links.append(Link(index, "NEXT", after))
                self.links += [Link(index, name, self.link(inner, after)) for name, inner in hop.classes.items()]
                after = index
            elif hop.flat:
                after = self.vnf(hop.flat, {**hop.at, LEAVE: after})
        return after

    def vnf(self, flat: Flat, at: Mapping[str, int]) -> int:
        """The links of an instance's mNFs; the index of its entry."""
        for name, (mnf, _) in flat.mnfs.items():
            for outcome, default in _outcomes(mnf).items():
                target = flat.links.get((name, outcome))
                if target is not None:
                    self.links.append(Link(at[name], outcome, at[target]))
                elif _DEFAULTS[default] == EXIT:  # NEXT: as if the body had said so
                    self.links.append(Link(at[name], outcome, at[flat.links[name, "NEXT"]], default=True))
                else:
                    self.links.append(Link(at[name], outcome, _DEFAULTS[default], default=True))
        return at[flat.entry]


def parting_stage(chain: Chain, parting: Parting) -> Stage:
    """What the framework does at a parting, as an mNF whose outcomes are the classes: it reads what the classifier found."""
    mnf = Mnf(
        name=PART, folder="", summary="Parts packets by class.", reads=frozenset({"m.parts"}), writes=frozenset(), reads_when={},
        verdicts=("NEXT",), outcomes={each.name: "" for each in parting.classes}, params=(), tables=(), reasons={}, metadata={}, scratch={},
        where=parting.where,
    )  # fmt: skip
    instance = f"chain.{chain.name}"
    return Stage(f"{instance}.{parting.name}", instance, parting.name, mnf, {"shift": parting.shift, "bits": parting.bits})


def _outcomes(one: Mnf | Vnf) -> Mapping[str, str]:
    """NEXT, if a packet may go on so, and the declared outcomes, each with its default."""
    if isinstance(one, Vnf):
        return {"NEXT": ""}
    nexts = {"NEXT": ""} if "NEXT" in one.verdicts else {}
    return {**nexts, **one.outcomes}


def _collect(vnf: Vnf, found: dict[int, Vnf]) -> None:
    """The template and all that it uses, each once."""
    if id(vnf) not in found:
        found[id(vnf)] = vnf
        for node in vnf.nodes:
            if isinstance(node, VnfUse):
                _collect(node.vnf, found)


def _template_errors(vnf: Vnf) -> list[GraphError]:
    """What is wrong with the template's graph itself, whatever its conditions say."""
    errors = []
    nodes = {node.name: node for node in vnf.nodes}
    offered = {name: _outcomes(node.mnf if isinstance(node, VnfNode) else node.vnf) for name, node in nodes.items()}
    linked = {(link.source, link.outcome) for link in vnf.links if link.when is None}
    for name, node in nodes.items():
        for outcome, default in offered[name].items():
            if not default and (name, outcome) not in linked:
                text = f"vnf '{vnf.name}': outcome '{outcome}' of '{name}' has no link (outcomes: {', '.join(offered[name])})"
                errors.append(GraphError(text, node.where))
    for link in vnf.links:
        if link.outcome not in offered[link.source]:
            wanted = ", ".join(offered[link.source]) or "none"
            errors.append(GraphError(f"vnf '{vnf.name}': '{link.source}' has no outcome '{link.outcome}' (outcomes: {wanted})", link.where))
    try:
        tuple(TopologicalSorter({n: [k.source for k in vnf.links if k.target == n] for n in nodes}).static_order())
    except CycleError as error:
        errors.append(GraphError(f"vnf '{vnf.name}': links form a cycle: {' -> '.join(reversed(error.args[1]))}", vnf.where))
        return errors
    reached, todo = set[str](), list(vnf.entry.values())
    while todo:
        name = todo.pop()
        if name not in reached and name in nodes:
            reached.add(name)
            todo += [link.target for link in vnf.links if link.source == name]
    for name, node in nodes.items():
        if name not in reached:
            errors.append(GraphError(f"vnf '{vnf.name}': nothing leads to '{name}'", node.where, "link it or take it out"))
    return errors
