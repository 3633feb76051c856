"""vnf.yaml: a template that expands to a graph of mNFs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ebpfnf.errors import Where
from ebpfnf.model import Mnf, ParamSpec, Reference, TableSpec, Vnf, VnfLink, VnfNode
from ebpfnf.spec import shape, values, yaml
from ebpfnf.spec.files import VnfFile
from ebpfnf.spec.manifest import read_params
from ebpfnf.spec.problems import Problems, listing, meant, quote
from ebpfnf.spec.yaml import Node

_LINK = re.compile(r"([a-z0-9_]+)(?:\.([a-z0-9_]+))? *-> *([a-z0-9_]+)\Z")


class Mnfs(Protocol):
    """Where mNFs are looked up."""

    def mnf(self, name: str, where: Where) -> Mnf | None:
        """The mNF, or None when that was reported."""


def read(path: Path, library: Mnfs, problems: Problems) -> Vnf | None:
    """The template in a file, or None with the reasons in `problems`."""
    before = problems.count()
    tree = yaml.load(path, problems)
    checked = shape.check(VnfFile, tree, problems) if tree else None
    if checked is None:
        return None
    file, node = checked
    if file.vnf != path.stem:
        problems.add(f"vnf {quote(file.vnf)}", node.at("vnf"), f"wanted the file's name, '{path.stem}'")
    if "exit" in file.mnfs:
        problems.add("a node can't be called 'exit'", node.key_at("mnfs", "exit"), "links to 'exit' leave the VNF")
    mnfs = {name: library.mnf(entry.mnf, node.at("mnfs", name, "mnf")) for name, entry in file.mnfs.items()}
    if problems.count() > before:
        return None  # what follows would only repeat it
    found = {name: mnf for name, mnf in mnfs.items() if mnf}

    params = read_params(node, problems, _rule_keys(file, found), reserved="vnf")
    types = {param.name: param.type for param in params}
    nodes = tuple(_node(name, found[name], node.value["mnfs"].value[name], types, problems) for name in file.mnfs)
    used = {value.name for one in nodes for value in one.arguments.values() if isinstance(value, Reference)}
    for param in params:
        if param.name not in used:
            problems.add(f"parameter '{param.name}' is given to no mNF", param.where, f"write ${param.name} where it belongs, or remove it")
    links = _links(file, found, node, problems)
    entry = _entry(file, node, problems)
    if problems.count() > before:
        return None
    return Vnf(file.vnf, file.summary, params, nodes, links, entry, node.where)


def _rule_keys(file: VnfFile, mnfs: Mapping[str, Mnf]) -> dict[str, frozenset[str]]:
    """For each parameter of the template: the match keys that all tables filled by it have."""
    result: dict[str, frozenset[str]] = {}
    for name, entry in file.mnfs.items():
        for param, value in (entry.__pydantic_extra__ or {}).items():
            if isinstance(value, str) and value.startswith("$"):
                keys = _keys_of(mnfs[name], param)
                if keys is not None:
                    result[value[1:]] = result.get(value[1:], keys) & keys
    return result


def _keys_of(mnf: Mnf, param: str) -> frozenset[str] | None:
    keys = [frozenset(t.key) for t in mnf.tables if t.kind == "acl" and t.entries == param and isinstance(t.key, tuple)]
    return frozenset.intersection(*keys) if keys else None


def rule_keys(vnf: Vnf) -> dict[str, frozenset[str]]:
    """For each parameter of a VNF that fills acl tables: the match keys that its rules may use."""
    result: dict[str, frozenset[str]] = {}
    for node in vnf.nodes:
        for param, value in node.arguments.items():
            keys = _keys_of(node.mnf, param)
            if isinstance(value, Reference) and keys is not None:
                result[value.name] = result.get(value.name, keys) & keys
    return result


def _node(name: str, mnf: Mnf, node: Node, types: Mapping[str, str], problems: Problems) -> VnfNode:
    keys = {param.name: _keys_of(mnf, param.name) for param in mnf.params}
    arguments = read_arguments(f"mnf '{mnf.name}'", mnf.params, node, "mnf", problems, keys, types)
    check_sizes(mnf.tables, arguments, node, problems)
    return VnfNode(name, mnf, arguments, node.where)


def read_arguments(
    who: str,
    params: tuple[ParamSpec, ...],
    node: Node,
    head: str,
    problems: Problems,
    keys: Mapping[str, frozenset[str] | None],
    references: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The arguments beside the key `head`, complete with defaults.

    `references`: the parameters (and types) that `$name` may refer to; None where there are none.
    """
    known = {param.name: param for param in params}
    for key in node.value:
        if key != head and key not in known:
            problems.add(f"{who} has no parameter {quote(key)}", node.keys[key], meant(key, known, "parameters"))
    result = {}
    for param in params:
        given = node.value.get(param.name)
        if given is None and param.required:
            wanted = f"{param.type}: {param.doc}" if param.doc else param.type
            problems.add(f"{who}: parameter '{param.name}' is missing", node.where, f"wanted {wanted}")
        elif given is None:
            result[param.name] = param.default
        elif references is not None and isinstance(given.value, str) and given.value.startswith("$"):
            result[param.name] = _reference(param, given, references, problems)
        else:
            result[param.name] = values.read(param.name, param.type, given, problems, keys.get(param.name))
    return result


def _reference(param: ParamSpec, node: Node, references: Mapping[str, str], problems: Problems) -> Reference:
    name = node.value[1:]
    if name not in references:
        problems.add(f"no parameter {quote(name)}", node.where, meant(name, references, "parameters of this template"))
    elif references[name] != param.type:
        problems.add(f"'${name}' is {references[name]}", node.where, f"'{param.name}' wants {param.type}")
    return Reference(name)


def check_sizes(tables: tuple[TableSpec, ...], arguments: Mapping[str, Any], node: Node, problems: Problems, shown: str = "") -> None:
    """A list has no more items than the table that it fills. `shown`: the key in `node` where the list was written."""
    for table in tables:
        items = arguments.get(table.entries)
        if isinstance(items, list) and len(items) > table.size:
            key = shown or table.entries
            problems.add(f"{key} has {len(items)} items", node.at(key), f"table '{table.name}' holds {table.size}")


def _links(file: VnfFile, mnfs: Mapping[str, Mnf], node: Node, problems: Problems) -> tuple[VnfLink, ...]:
    order = list(file.mnfs)
    if file.links is None:
        return tuple(
            VnfLink(name, "NEXT", following, node.key_at("mnfs", name))
            for name, following in zip(order, [*order[1:], "exit"], strict=True)
            if "NEXT" in mnfs[name].verdicts
        )
    links: dict[tuple[str, str], VnfLink] = {}
    for k, text in enumerate(file.links):
        where, match = node.at("links", k), _LINK.match(text)
        if not match:
            problems.add(f"link {quote(text)}", where, "wanted 'a -> b', 'a.outcome -> b' or '... -> exit'")
            continue
        source, outcome, target = match[1], match[2] or "NEXT", match[3]
        for name in (source, target):
            if name not in mnfs and name != "exit":
                problems.add(f"link {quote(text)}: no node {quote(name)}", where, meant(name, order, "nodes"))
        if source == "exit":
            problems.add(f"link {quote(text)}: nothing leaves 'exit'", where)
        if source in mnfs and outcome not in _outcomes(mnfs[source]):
            near = meant(outcome, _outcomes(mnfs[source]), "outcomes")
            problems.add(f"link {quote(text)}: '{source}' has no outcome '{outcome}'", where, near)
        if (source, outcome) in links:
            problems.add(f"link {quote(text)}: '{source}.{outcome}' is linked already", where, f"in line {_line(links[source, outcome])}")
        links[source, outcome] = VnfLink(source, outcome, target, where)
    _check_complete(file, mnfs, links, node, problems)
    return tuple(links.values())


def _check_complete(
    file: VnfFile, mnfs: Mapping[str, Mnf], links: Mapping[tuple[str, str], VnfLink], node: Node, problems: Problems
) -> None:
    """Where links are written, each NEXT has one."""
    for name in file.mnfs:
        if "NEXT" in mnfs[name].verdicts and (name, "NEXT") not in links:
            text = f"vnf '{file.vnf}': outcome 'NEXT' of '{name}' has no link"
            problems.add(text, node.key_at("mnfs", name), f"outcomes: {listing(_outcomes(mnfs[name]))}")


def _outcomes(mnf: Mnf) -> list[str]:
    return [*(["NEXT"] if "NEXT" in mnf.verdicts else []), *mnf.outcomes]


def _line(link: VnfLink) -> int:
    return link.where.line if link.where else 0


def _entry(file: VnfFile, node: Node, problems: Problems) -> dict[str, str]:
    """The first node in each direction."""
    first = next(iter(file.mnfs))
    given = node.get("entry")
    if given is None:
        return {"forward": first, "reverse": first}
    if not given.is_map:
        chosen = {"forward": given, "reverse": given}
    elif set(given.value) == {"forward", "reverse"}:
        chosen = dict(given.items())
    else:
        problems.add("entry", given.where, "wanted a node's name, or {forward: node, reverse: node}")
        return {}
    for item in chosen.values():
        if item.plain() not in file.mnfs:
            problems.add(f"no node {quote(item.plain())}", item.where, meant(str(item.plain()), file.mnfs, "nodes"))
    return {direction: str(item.plain()) for direction, item in chosen.items()}
