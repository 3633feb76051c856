"""vnf.yaml: a template that expands to a graph of mNFs, by itself or by the templates that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from ebpfnf.errors import Where
from ebpfnf.model import Mnf, ParamSpec, Reference, TableSpec, Vnf, VnfNode, VnfUse
from ebpfnf.spec import links, shape, values, when, yaml
from ebpfnf.spec.files import VnfFile
from ebpfnf.spec.manifest import read_params
from ebpfnf.spec.problems import Problems, meant, quote
from ebpfnf.spec.yaml import Node

MAX_MNFS = 512  # of a template with all that it uses: no program holds more


class Sources(Protocol):
    """Where mNFs and other templates are looked up; None when that was reported."""

    def mnf(self, name: str, where: Where) -> Mnf | None:
        """The mNF."""

    def vnf(self, name: str, where: Where) -> Vnf | None:
        """The template."""


def read(path: Path, library: Sources, problems: Problems) -> Vnf | None:
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
    found = {name: one for name in file.mnfs if (one := _found(name, file, node, library, problems))}
    if problems.count() > before or len(found) < len(file.mnfs):
        return None  # what follows would only repeat it

    params = read_params(node, problems, _rule_keys(file, found), reserved="mnf vnf when lossy " + " ".join(when.WORDS))
    types = {param.name: param.type for param in params}
    nodes = tuple(_node(name, found[name], node.value["mnfs"].value[name], types, problems) for name in file.mnfs)
    outcomes = {name: links.outcomes(one) for name, one in found.items()}
    linked = links.read(file.vnf, node, outcomes, types, problems)
    used = {value.name for one in nodes for value in one.arguments.values() if isinstance(value, Reference)}
    used = used.union(*(each.when.params for each in (*nodes, *linked) if each.when))
    for param in params:
        if param.name not in used:
            problems.add(f"parameter '{param.name}' is given to no mNF", param.where, f"write ${param.name} where it belongs, or remove it")
    entry = _entry(file, node, problems)
    if problems.count() > before:
        return None
    vnf = Vnf(file.vnf, file.summary, params, nodes, linked, entry, node.where)
    if len(list(islice(vnf.mnfs(), MAX_MNFS + 1))) > MAX_MNFS:
        problems.add(f"vnf '{vnf.name}' has too many mNFs in the templates that it uses", node.at("mnfs"), f"at most {MAX_MNFS}")
        return None
    return vnf


def _found(name: str, file: VnfFile, node: Node, library: Sources, problems: Problems) -> Mnf | Vnf | None:
    """What a node is."""
    entry = file.mnfs[name]
    if (entry.mnf is None) == (entry.vnf is None):
        problems.add(f"node '{name}'", node.key_at("mnfs", name), "wanted one of 'mnf: <mNF>' and 'vnf: <template>'")
        return None
    if entry.vnf is not None:
        return library.vnf(entry.vnf, node.at("mnfs", name, "vnf"))
    place = node.key_at("mnfs", name, "when")
    found = library.mnf(str(entry.mnf), node.at("mnfs", name, "mnf"))
    if found and entry.when is not None and "NEXT" not in found.verdicts:
        problems.add(f"node '{name}' may be left out, but has no NEXT", place, "where should packets go?")
    return found


def _rule_keys(file: VnfFile, found: Mapping[str, Mnf | Vnf]) -> dict[str, frozenset[str]]:
    """For each parameter of the template: the match keys that all tables filled by it have."""
    result: dict[str, frozenset[str]] = {}
    for name, entry in file.mnfs.items():
        for param, value in (entry.__pydantic_extra__ or {}).items():
            if isinstance(value, str) and value.startswith("$"):
                keys = _keys_of(found[name], param)
                if keys is not None:
                    result[value[1:]] = result.get(value[1:], keys) & keys
    return result


def _keys_of(one: Mnf | Vnf, param: str) -> frozenset[str] | None:
    if isinstance(one, Vnf):
        return rule_keys(one).get(param)
    keys = [frozenset(t.key) for t in one.tables if t.kind == "acl" and t.entries == param and isinstance(t.key, tuple)]
    return frozenset.intersection(*keys) if keys else None


def rule_keys(vnf: Vnf) -> dict[str, frozenset[str]]:
    """For each parameter of a VNF that fills acl tables: the match keys that its rules may use."""
    result: dict[str, frozenset[str]] = {}
    for node in vnf.nodes:
        for param, value in node.arguments.items():
            keys = _keys_of(node.mnf if isinstance(node, VnfNode) else node.vnf, param)
            if isinstance(value, Reference) and keys is not None:
                result[value.name] = result.get(value.name, keys) & keys
    return result


def _node(name: str, one: Mnf | Vnf, node: Node, types: Mapping[str, str], problems: Problems) -> VnfNode | VnfUse:
    keys = {param.name: _keys_of(one, param.name) for param in one.params}
    head = "vnf" if isinstance(one, Vnf) else "mnf"
    arguments = read_arguments(f"{head} '{one.name}'", one.params, node, f"{head} when", problems, keys, types)
    condition = when.read(node.get("when"), types, problems)
    if isinstance(one, Vnf):
        check_lists(one, arguments, node, problems)
        return VnfUse(name, one, arguments, node.where, condition)
    check_sizes(one.tables, arguments, node, problems)
    return VnfNode(name, one, arguments, node.where, condition)


def read_arguments(
    who: str,
    params: tuple[ParamSpec, ...],
    node: Node,
    head: str,
    problems: Problems,
    keys: Mapping[str, frozenset[str] | None],
    references: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The arguments beside the keys in `head`, complete with defaults.

    `references`: the parameters (and types) that `$name` may refer to; None where there are none.
    """
    known = {param.name: param for param in params}
    for key in node.value:
        if key not in head.split() and key not in known:
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


def check_lists(vnf: Vnf, arguments: Mapping[str, Any], node: Node, problems: Problems, shown: str = "") -> None:
    """The same for what a template is given and hands on."""
    for inner in vnf.nodes:
        for param, value in inner.arguments.items():
            if not isinstance(value, Reference):
                continue
            given, key = {param: arguments.get(value.name)}, shown or value.name
            if isinstance(inner, VnfUse):
                check_lists(inner.vnf, given, node, problems, key)
            else:
                check_sizes(tuple(table for table in inner.mnf.tables if table.entries == param), given, node, problems, key)


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
