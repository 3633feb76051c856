"""Pydantic's view of a file: every error of shape with the line and column of the node that offends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from ebpfnf.spec.problems import MAX_ERRORS, Problems, meant, quote
from ebpfnf.spec.yaml import Node


class Shape(BaseModel):
    """A mapping with known keys; values are what YAML says they are, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


M = TypeVar("M", bound=Shape)

_WANTED = {
    "string_type": "wanted text",
    "int_type": "wanted a whole number",
    "bool_type": "wanted true or false",
    "dict_type": "wanted a mapping, key: value",
    "model_type": "wanted a mapping, key: value",
    "list_type": "wanted a list",
}


def check(model: type[M], node: Node, problems: Problems) -> tuple[M, Node] | None:
    """The file's shape and its tree, both without the entries that are wrong, so that the rest can be looked at too.

    None when so much is wrong that nothing is left to look at.
    """
    try:
        return model.model_validate(node.plain()), node
    except ValidationError as error:
        details = error.errors(include_url=False)
        wrong = [tuple(detail["loc"]) for detail in details]
        for detail in details:
            _report(model, node, dict(detail), problems)
        if len(wrong) > MAX_ERRORS:
            return None
    for loc in wrong:
        node = _without(node, loc)
    try:
        return model.model_validate(node.plain()), node
    except ValidationError:
        return None


def _report(model: type[Shape], node: Node, detail: Mapping[str, Any], problems: Problems) -> None:
    kind, loc, given = detail["type"], tuple(detail["loc"]), detail["input"]
    name = next((str(part) for part in reversed(loc) if isinstance(part, str) and part != "[key]"), "")
    if kind == "extra_forbidden":
        problems.add(f"unknown key {quote(name)}", node.key_at(*loc), meant(name, _known(model, loc[:-1]), "keys"))
    elif kind == "missing":
        problems.add(f"key '{loc[-1]}' is missing", node.at(*loc[:-1]))
    elif loc and loc[-1] == "[key]":
        problems.add(f"name {quote(given)}", node.key_at(*loc[:-1]), f"wanted {_reason(detail)}")
    elif kind == "literal_error":
        words = re.findall(r"'([^']*)'|\b([0-9]+)\b", detail["ctx"]["expected"])
        problems.add(f"{name} {quote(given)}", node.at(*loc), meant(str(given), [a or b for a, b in words if a or b], "one of"))
    elif kind in ("too_short", "string_too_short"):
        problems.add(f"{name} is empty", node.at(*loc))
    elif kind in _WANTED:
        cure = "quote it" if kind == "string_type" and isinstance(given, int) else _WANTED[kind]
        problems.add(f"{name or 'the file'} {quote(given)}", node.at(*loc), cure)
    else:
        problems.add(f"{name or 'the file'} {quote(given)}", node.at(*loc), f"wanted {_reason(detail)}")


def _reason(detail: Mapping[str, Any]) -> str:
    error = detail.get("ctx", {}).get("error")
    return str(error) if error else str(detail["msg"])[:1].lower() + str(detail["msg"])[1:]


def _known(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that the mapping at `loc` may have."""
    kind: Any = model
    for part in loc:
        kind = _inner(kind, part)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _inner(kind: Any, part: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        kind = field.annotation if field else None
    else:
        kind = get_args(kind)[-1] if get_args(kind) else None
    while get_origin(kind) in (Annotated, Union, UnionType):  # Optional is the only union used
        kind = get_args(kind)[0]
    return kind


def _without(node: Node, loc: tuple[str | int, ...]) -> Node:
    """The tree without the section's entry that `loc` is in (sections are the keys of a file); it keeps its length if it is a list."""
    if not loc or not isinstance(node.value, dict):
        return node
    section = node.value.get(loc[0])
    value = dict(node.value)
    if section is not None and len(loc) > 1 and section.is_map:
        value[loc[0]] = Node({key: item for key, item in section.value.items() if key != loc[1]}, section.where, section.keys)
    elif section is not None and len(loc) > 1 and section.is_list:
        gone = section.get(loc[1])
        value[loc[0]] = Node(tuple(item for item in section.value if item is not gone), section.where)
    else:
        value.pop(loc[0], None)
    return Node(value, node.where, node.keys)
