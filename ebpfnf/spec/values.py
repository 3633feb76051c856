"""Typed parameters: scalars of tables/types.py, `list[T]` of them and of `line`, `text` and the records `rule`, `l2_rule`, `backend`.

Canonical forms (plain data, so that they travel in a bundle):
    rule, l2_rule   {"action": "allow" | "deny", "match": {key: [values]}, "class": int}
    backend         {"v4": address, "v6": address, "port": int}; an address that wasn't given is "::" (ip_is_zero in C)
"""

from __future__ import annotations

import re
from typing import Any

from ebpfnf.spec import match
from ebpfnf.spec.fields import l2_rule_keys, rule_keys
from ebpfnf.spec.problems import Problems, meant, quote
from ebpfnf.spec.yaml import Node
from ebpfnf.tables.automaton.grammar import Line
from ebpfnf.tables.placed import Placed, Text
from ebpfnf.tables.types import SCALARS, Type, type_of

RECORD_FIELDS = {
    "rule": {"action": "enum[allow,deny]", "class": "u16"},
    "l2_rule": {"action": "enum[allow,deny]", "class": "u16"},
    "backend": {"v4": "ip", "v6": "ip", "port": "port"},
}
LISTED: dict[str, Type] = {"line": Line(), "text": Text()}  # in lists only: no program sees them
NO_ADDRESS = "::"


def spelling(text: Any) -> str:
    """A parameter type in its normal spelling; ValueError says what was wanted."""
    inner = re.fullmatch(r"list\[(.*)\]", text) if isinstance(text, str) else None
    try:
        if inner and (inner[1] in RECORD_FIELDS or inner[1] in LISTED):
            return str(text)
        kind = type_of(inner[1] if inner else text)
    except (ValueError, TypeError):
        pass
    else:
        if isinstance(text, str) and (inner or not kind.spelling.startswith("bytes[")):  # cfg holds scalars
            return f"list[{kind.spelling}]" if inner else kind.spelling
    word = inner[1] if inner else str(text)
    raise ValueError(meant(word, [*SCALARS, *RECORD_FIELDS, *LISTED], "types, alone or in list[...]"))


def item_of(kind: str) -> str:
    """What a `list[T]` is a list of; an empty string for a scalar type."""
    return kind[5:-1] if kind.startswith("list[") else ""


def read(name: str, kind: str, node: Node, problems: Problems, keys: frozenset[str] | None = None) -> Any:
    """The value of parameter `name` in canonical form; None with the reasons in `problems`.

    `keys`: the match keys of the tables that its rules fill.
    """
    item = item_of(kind)
    result: list[Any]
    if not item:
        return _scalar(name, kind, node, problems)
    if not node.is_list:
        problems.add(f"{name} {quote(node.plain())}", node.where, f"wanted a list of {item}")
        return None
    if item in ("rule", "l2_rule"):
        known = l2_rule_keys() if item == "l2_rule" else rule_keys()
        result = [_rule(one, known if keys is None else known & keys, problems) for one in node.value]
    elif item == "backend":
        result = [_backend(one, problems) for one in node.value]
    elif item in LISTED:
        lines = [_parsed(name, LISTED[item], one, problems) for one in node.value]
        result = [Placed(line, one.where) if item == "text" and line else line for line, one in zip(lines, node.value, strict=True)]
    else:
        result = [_scalar(name, item, one, problems) for one in node.value]
        _distinct(name, result, node, problems)
    return None if any(one is None for one in result) else result


def _scalar(name: str, kind: str, node: Node, problems: Problems) -> Any:
    return _parsed(name, type_of(kind), node, problems)


def _parsed(name: str, kind: Type, node: Node, problems: Problems) -> Any:
    try:
        return kind.parse(node.plain())
    except ValueError as error:
        problems.add(f"{name} {quote(node.plain())}", node.where, f"wanted {error}")
        return None


def _distinct(name: str, values: list[Any], node: Node, problems: Problems) -> None:
    """A list is a table's keys: none may come twice."""
    seen = set()
    for value, one in zip(values, node.value, strict=True):
        if value is not None and value in seen:
            problems.add(f"{name} names {quote(value)} twice", one.where, "once will do")
        seen.add(value)


def _rule(node: Node, keys: frozenset[str], problems: Problems) -> dict[str, Any] | None:
    form = "{allow: {<match key>: value}} or {deny: {...}}, and class: N if wanted"
    actions = [key for key, _ in node.items() if key in ("allow", "deny")]
    if len(actions) != 1:
        problems.add("a rule needs one of allow and deny", node.where, form)
        return None
    for key, _ in node.items():
        if key not in ("allow", "deny", "class"):
            problems.add(f"unknown key {quote(key)} in a rule", node.keys[key], meant(key, ["allow", "deny", "class"], "keys"))
            return None
    found = match.read(node.value[actions[0]], keys, problems, "not in the table of the mNF that these rules fill")
    number = _scalar("class", "u16", node.value["class"], problems) if "class" in node.value else 0
    return None if found is None or number is None else {"action": actions[0], "match": found, "class": number}


def _backend(node: Node, problems: Problems) -> dict[str, Any] | None:
    known = list(RECORD_FIELDS["backend"])
    if not node.is_map or "port" not in node.value or not {"v4", "v6"} & set(node.value):
        problems.add("a backend needs a port and an address", node.where, "{v4: address, v6: address, port: N}, at least one address")
        return None
    before, result = problems.count(), {"v4": NO_ADDRESS, "v6": NO_ADDRESS}
    for key, item in node.items():
        if key not in known:
            problems.add(f"unknown key {quote(key)} in a backend", node.keys[key], meant(key, known, "keys"))
            continue
        result[key] = _scalar(key, RECORD_FIELDS["backend"][key], item, problems)
        if key != "port" and result[key] and (":" in result[key]) != (key == "v6"):
            problems.add(f"{key} {quote(result[key])}", item.where, f"wanted an IP{key} address")
    return None if problems.count() > before else result
