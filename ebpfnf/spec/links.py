"""`links:` of a template: `a -> b`, `a.outcome -> b`, `... -> exit`, or {link: <that>, when: <condition>}; else in the file's order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ebpfnf.model import Mnf, Vnf, VnfLink
from ebpfnf.spec import when
from ebpfnf.spec.problems import Problems, listing, meant, quote
from ebpfnf.spec.yaml import Node

_LINK = re.compile(r"([a-z0-9_]+)(?:\.([a-z0-9_]+))? *-> *([a-z0-9_]+)\Z")
_FORM = "wanted 'a -> b', 'a.outcome -> b' or '... -> exit'"
Outcomes = Mapping[str, Mapping[str, str]]  # node -> outcome -> its default; empty: a link is required


def outcomes(one: Mnf | Vnf) -> dict[str, str]:
    """How packets may leave a node, each with its default."""
    if isinstance(one, Vnf):
        return {"NEXT": ""}
    return {**({"NEXT": ""} if "NEXT" in one.verdicts else {}), **one.outcomes}


def read(vnf: str, node: Node, known: Outcomes, params: Mapping[str, str], problems: Problems) -> tuple[VnfLink, ...]:
    """The links of the template in `node` between the nodes in `known`; `params`: what conditions may ask for."""
    order, given = list(known), node.get("links")
    if given is None:
        return tuple(
            VnfLink(name, "NEXT", following, node.key_at("mnfs", name))
            for name, following in zip(order, [*order[1:], "exit"], strict=True)
            if "NEXT" in known[name]
        )
    found: dict[tuple[str, str], list[VnfLink]] = {}
    for item in given.value:
        link = _link(item, known, params, problems)
        if link is None:
            continue
        earlier = found.setdefault((link.source, link.outcome), [])
        if earlier and earlier[-1].when is None:
            at = f"in line {earlier[-1].where.line}" if earlier[-1].where else ""
            problems.add(f"link {quote(_text(item))}: '{link.source}.{link.outcome}' is linked already", link.where, at)
        earlier.append(link)
    _check_complete(vnf, known, found, node, problems)
    return tuple(link for links in found.values() for link in links)


def _text(item: Node) -> object:
    return item.value["link"].plain() if item.is_map and "link" in item.value else item.plain()


def _link(item: Node, known: Outcomes, params: Mapping[str, str], problems: Problems) -> VnfLink | None:
    if item.is_map and set(item.value) != {"link", "when"}:
        problems.add(f"link {quote(item.plain())}", item.where, "wanted {link: a -> b, when: <condition>}")
        return None
    condition = when.read(item.value["when"], params, problems) if item.is_map else None
    where, text = item.at("link") if item.is_map else item.where, _text(item)
    match = _LINK.match(text) if isinstance(text, str) else None
    if not match:
        problems.add(f"link {quote(text)}", where, _FORM)
        return None
    source, outcome, target = match[1], match[2] or "NEXT", match[3]
    for name in (source, target):
        if name not in known and name != "exit":
            problems.add(f"link {quote(text)}: no node {quote(name)}", where, meant(name, known, "nodes"))
    if source == "exit":
        problems.add(f"link {quote(text)}: nothing leaves 'exit'", where)
    if source in known and outcome not in known[source]:
        problems.add(f"link {quote(text)}: '{source}' has no outcome '{outcome}'", where, meant(outcome, known[source], "outcomes"))
    return VnfLink(source, outcome, target, where, condition)


def _check_complete(vnf: str, known: Outcomes, found: Mapping[tuple[str, str], Sequence[VnfLink]], node: Node, problems: Problems) -> None:
    """Where links are written, each NEXT has one, and what has no default has one that always holds."""
    for name, own in known.items():
        for outcome, default in own.items():
            links = found.get((name, outcome))
            if links is None and outcome == "NEXT":
                text = f"vnf '{vnf}': outcome 'NEXT' of '{name}' has no link"
                problems.add(text, node.key_at("mnfs", name), f"outcomes: {listing(own)}")
            elif links and not default and links[-1].when is not None:
                problems.add(f"'{name}.{outcome}' has links with conditions only", links[-1].where, "the last one must hold always")
