"""A template with what it uses, as one graph of mNFs for one direction: names nest by '.', conditions are decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from ebpfnf.model import Mnf, Reference, Vnf, VnfUse

LEAVE = "exit"
Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Flat:
    """mNFs that packets may come to, in topological order, ties in file order."""

    mnfs: Mapping[str, tuple[Mnf, Arguments]]  # `<node>` or `<use>.<node>` -> the mNF, every parameter with its value
    links: Mapping[tuple[str, str], str]  # (node, outcome) -> node or LEAVE
    entry: str  # a node or LEAVE


def flatten(vnf: Vnf, arguments: Arguments, direction: str) -> Flat:
    """The graph of a template with these arguments. Its links form no cycle, and conditions leave none without a link."""
    mnfs, links, entry = _inside(vnf, arguments, direction, "")
    order = _order(list(mnfs), links, entry)
    return Flat({name: mnfs[name] for name in order}, links, entry)


_Inside = tuple[dict[str, tuple[Mnf, Arguments]], dict[tuple[str, str], str], str]


def _inside(vnf: Vnf, arguments: Arguments, direction: str, prefix: str) -> _Inside:
    nodes = {node.name: node for node in vnf.nodes}
    there = {name for name, node in nodes.items() if node.when is None or node.when.holds(arguments)}
    onward: dict[tuple[str, str], str] = {}
    for link in vnf.links:
        if link.when is None or link.when.holds(arguments):
            onward.setdefault((link.source, link.outcome), link.target)  # the first that holds

    def given(name: str) -> dict[str, Any]:
        return {param: arguments[value.name] if isinstance(value, Reference) else value for param, value in nodes[name].arguments.items()}

    uses = {
        name: _inside(node.vnf, given(name), direction, f"{prefix}{name}.")
        for name, node in nodes.items()
        if isinstance(node, VnfUse) and name in there
    }

    def at(target: str) -> str:
        """The mNF that packets sent to this node come to first."""
        while target != LEAVE:
            if target in uses and uses[target][2] != LEAVE:
                return uses[target][2]
            if target in there and target not in uses:
                return prefix + target
            target = onward[target, "NEXT"]  # left out, or a template that is empty
        return LEAVE

    mnfs: dict[str, tuple[Mnf, Arguments]] = {}
    links: dict[tuple[str, str], str] = {}
    for name, node in nodes.items():
        if name in uses:
            inner, inner_links, _ = uses[name]
            mnfs |= inner
            links |= {jump: at(onward[name, "NEXT"]) if target == LEAVE else target for jump, target in inner_links.items()}
        elif not isinstance(node, VnfUse) and name in there:
            own = given(name)
            mnfs[prefix + name] = node.mnf, {param.name: own.get(param.name, param.default) for param in node.mnf.params}
            links |= {(prefix + name, outcome): at(target) for (source, outcome), target in onward.items() if source == name}
    return mnfs, links, at(vnf.entry[direction])


def _order(names: list[str], links: Mapping[tuple[str, str], str], entry: str) -> list[str]:
    """The names that `entry` leads to, each behind all that lead to it, ties in the order of `names`."""
    after: dict[str, list[str]] = {name: [] for name in names}
    for (source, _), target in links.items():
        if target != LEAVE:
            after[source].append(target)
    reached: set[str] = set()
    todo = [entry] if entry != LEAVE else []
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += after[name]
    place = {name: k for k, name in enumerate(names)}
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
