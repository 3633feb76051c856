"""`when:` of a template's nodes and links: a condition over its parameters, read into a value. Nothing is ever evaluated as text.

    {mode: strict}    {mode: [strict, loose]}    {rules: []}    {not: {...}}    {any: [{...}, ...]}    {all: [{...}, ...]}

Several keys hold together, as in `match:`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ebpfnf.model import When
from ebpfnf.spec import values
from ebpfnf.spec.problems import Problems, meant, quote
from ebpfnf.spec.yaml import Node

WORDS = ("all", "any", "not")  # no parameter of a template is called so


def read(node: Node | None, params: Mapping[str, str], problems: Problems) -> When | None:
    """The condition over these parameters (name -> type), None where there is none; errors go to `problems`."""
    return None if node is None else _mapping(node, params, problems)


def _mapping(node: Node, params: Mapping[str, str], problems: Problems) -> When:
    if not node.is_map or not node.value:
        problems.add(f"a condition {quote(node.plain())}", node.where, "wanted a mapping such as {mode: strict}, with not, any or all")
        return When("all")
    parts = []
    for key, item in node.items():
        if key == "not":
            parts.append(When("not", parts=(_mapping(item, params, problems),)))
        elif key in WORDS:
            if not item.is_list or not item.value:
                problems.add(f"{key} {quote(item.plain())}", item.where, "wanted a list of conditions")
                continue
            parts.append(When(key, parts=tuple(_mapping(each, params, problems) for each in item.value)))
        elif key in params:
            parts.append(_is(key, params[key], item, problems))
        else:
            problems.add(f"no parameter {quote(key)}", node.keys[key], meant(key, [*params, *WORDS], "parameters of this template"))
    return parts[0] if len(parts) == 1 else When("all", parts=tuple(parts))


def _is(name: str, kind: str, node: Node, problems: Problems) -> When:
    """A parameter has this value, or one of these."""
    if values.item_of(kind):
        if not node.is_list or node.value:
            problems.add(f"{name} {quote(node.plain())}", node.where, "wanted []: of a list a condition asks whether it is empty")
        return When("is", name, ([],))
    if node.is_list and not node.value:
        problems.add(f"{name} is one of none, which never holds", node.where, "name a value")
    found = [values.read(name, kind, each, problems) for each in (node.value if node.is_list else (node,))]
    return When("is", name, tuple(found))
