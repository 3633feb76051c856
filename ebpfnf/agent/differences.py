"""What a bundle says otherwise than what runs, in lines for a person: `+` is new, `-` is gone. Read from manifests, as files said it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ebpfnf.agent.manifest import Manifest
from ebpfnf.model import Bundle, Table

_SHOWN = 20  # entries of a table
_OF_CHAINS = ("on", "direction", "match", "path", "then", "classes")
Entries = Sequence[tuple[Any, Any]]


def differences(bundle: Bundle, runs: Manifest, entries: Mapping[str, Entries]) -> list[str]:
    """`entries`: by the table's name, as the file of what runs said them. Empty where all is the same."""
    if bundle.digest == runs.digest:
        return []
    found = [*_ports(bundle, runs), *_chains(bundle, runs), *_stages(bundle, runs)]
    for table in bundle.tables:
        found += _entries(table, entries.get(table.name, ()))
    return found or ["parameters, or how it is compiled"]


def _ports(bundle: Bundle, runs: Manifest) -> Iterator[str]:
    old, new = ({p.name: f"{p.interface}, otherwise {p.otherwise}" for p in each.ports} for each in (runs, bundle))
    yield from _named("port", old, new)


def _chains(bundle: Bundle, runs: Manifest) -> Iterator[str]:
    old, new = ({str(c["name"]): c for c in each.chains} for each in (runs, bundle))
    both = [name for name in new if name in old]
    yield from _named("chain", {n: "" for n in old if n not in both}, {n: "" for n in new if n not in both})
    for name in both:
        for key in _OF_CHAINS:
            was, will = (_text(each[name].get(key)) for each in (old, new))
            if was != will:
                yield f"chain {name}: {key} {was} -> {will}"


def _stages(bundle: Bundle, runs: Manifest) -> Iterator[str]:
    old, new = ({str(s["id"]): s for s in each.stages} for each in (runs, bundle))
    yield from _named("stage", {n: s["mnf"] for n, s in old.items() if n not in new}, {n: s["mnf"] for n, s in new.items() if n not in old})
    for name in new:
        if name in old and new[name].get("digest") != old[name].get("digest"):
            yield f"stage {name}: another version of {new[name]['mnf']}"


def _named(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for sign, these, those in (("-", old, new), ("+", new, old)):
        yield from (f"{sign} {kind} {name}{': ' + words if words else ''}" for name, words in these.items() if those.get(name) != words)


def _entries(table: Table, old: Entries) -> list[str]:
    """Rules by their order, for a rule more gives those behind it other numbers; all else by keys."""
    if table.filled_by != "operator" or table.name.startswith("framework."):
        return []
    if table.kind == "acl":
        before, after = ([_text(value) for _, value in each] for each in (old, table.entries))
        pairs = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        changed = [
            line
            for kind, a, b, c, d in pairs
            if kind != "equal"
            for line in (*(f"- {words}" for words in before[a:b]), *(f"+ {words}" for words in after[c:d]))
        ]
    else:
        left, right = ({f"{_text(key)}: {_text(value)}": None for key, value in each} for each in (old, table.entries))
        changed = [*(f"- {each}" for each in left if each not in right), *(f"+ {each}" for each in right if each not in left)]
    told = [f"{table.name}: {line}" for line in islice(changed, _SHOWN)]
    return told + [f"{table.name}: {len(changed) - _SHOWN} entries more"] * (len(changed) > _SHOWN)


def _text(value: Any) -> str:
    """As in `ebpfnf table dump`: short, and the same for what is the same."""
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_text(value[name])}" for name in sorted(value, key=lambda name: (name != "match", name)))
    if isinstance(value, list | tuple):
        return "|".join(map(_text, value))
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)
