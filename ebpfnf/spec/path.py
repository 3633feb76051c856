"""`path:` of a chain: VNF instances, and `classes:` by which it parts. Behind a parting all go on together.

path: [edge, {classes: {web: {match: {l4.dport: 80}, path: [waf]}, voice: {match: {ip.dscp: 46}, path: []}}}, lb]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ebpfnf import names
from ebpfnf.errors import Where
from ebpfnf.model import ChainPath, Parting, TrafficClass
from ebpfnf.spec import match
from ebpfnf.spec.fields import chain_keys
from ebpfnf.spec.problems import Problems, meant, quote
from ebpfnf.spec.yaml import Node
from ebpfnf.tables.meet import meet

MAX_BITS = 16  # of m.parts
_FORM = "wanted a VNF's name, or classes: {<name>: {match: {...}, path: [...]}}"
Match = Mapping[str, tuple[Any, ...]]


@dataclass(slots=True)
class _Reader:
    """What one chain's path says; partings and classes have names of their own in all of it."""

    known: list[str]
    problems: Problems
    places: list[Where] = field(default_factory=list)
    partings: int = 0
    classes: set[str] = field(default_factory=set)

    def path(self, node: Node, takes: Match, passed: set[str], shift: int) -> tuple[ChainPath, int]:
        """The path, and the bits of m.parts up to here. `passed`: instances before it."""
        found: list[str | Parting] = []
        for item in node.value if node.is_list else ():
            self.places.append(item.where)
            if item.is_map and list(item.value) == ["classes"]:
                parting, shift = self.parting(item.value["classes"], takes, passed, shift)
                found.append(parting)
            elif isinstance(item.value, str):
                self.instance(item, passed)
                found.append(item.value)
            else:
                self.problems.add(f"{quote(item.plain())} in a path", item.where, _FORM)
        return tuple(found), shift

    def instance(self, item: Node, passed: set[str]) -> None:
        """Each at most once on a packet's way."""
        if item.value not in self.known:
            self.problems.add(f"no vnf {quote(item.value)}", item.where, meant(item.value, self.known, "vnfs"))
        if item.value in passed:
            self.problems.add(f"'{item.value}' is in the path twice", item.where, "a second instance of the VNF has a state of its own")
        passed.add(item.value)

    def parting(self, node: Node, takes: Match, passed: set[str], shift: int) -> tuple[Parting, int]:
        """A parting; what its classes pass is passed behind it."""
        self.partings += 1
        number, before = self.partings, set(passed)
        if not node.is_map or not node.value:
            self.problems.add(f"classes {quote(node.plain())}", node.where, _FORM)
        bits = len(node.value).bit_length() if node.is_map else 0
        classes, last = [], shift + bits
        for name, entry in node.items():
            if set(entry.value) != {"match", "path"} if entry.is_map else True:
                self.shape(name, entry)
                continue
            self.name(name, node)
            found = match.read(entry.value["match"], chain_keys(), self.problems, "rules of a VNF can match it, classes can't")
            own = {key: tuple(values) for key, values in (found or {}).items()}
            both = meet(takes, own, match.match_fields())
            if both is None:
                self.problems.add(f"class '{name}' takes nothing", entry.at("match"), "what comes here never matches it")
            if not entry.value["path"].is_list:
                self.problems.add(f"path {quote(entry.value['path'].plain())}", entry.at("path"), "wanted a list")
            inside = set(before)
            inner = {key: tuple(values) for key, values in (both or {}).items()}
            path, end = self.path(entry.value["path"], inner, inside, shift + bits)
            classes.append(TrafficClass(name, own, path, node.keys[name]))
            passed |= inside
            last = max(last, end)
        return Parting(f"parts_{number}", tuple(classes), shift, bits, node.where), last

    def shape(self, name: str, entry: Node) -> None:
        """What is wrong with a class's keys."""
        for key in entry.value if entry.is_map else ():
            if key not in ("match", "path"):
                self.problems.add(f"unknown key {quote(key)}", entry.keys[key], meant(key, ("match", "path"), "keys"))
        if not entry.is_map or not {"match", "path"} <= set(entry.value):
            self.problems.add(f"class {quote(name)}", entry.where, "wanted {match: {...}, path: [...]}")

    def name(self, name: str, node: Node) -> None:
        """A class is counted as `chain.<chain>.<class>`."""
        if not names.is_kebab(name):
            self.problems.add(f"name {quote(name)}", node.keys[name], f"wanted {names.KEBAB_WANTED}")
        elif name in names.RESERVED_CLASSES:
            self.problems.add(f"a class can't be called '{name}'", node.keys[name], "the framework counts something of its own so")
        elif name in self.classes:
            self.problems.add(f"class '{name}' is there already", node.keys[name], "a chain's classes are counted by their names")
        self.classes.add(name)


def read(node: Node, takes: Match, known: list[str], problems: Problems) -> tuple[ChainPath, tuple[Where, ...]]:
    """The path in `node` of a chain that takes this, with the place of each instance and parting; errors go to `problems`."""
    reader = _Reader(known, problems)
    path, bits = reader.path(node, takes, set(), 0)
    if bits > MAX_BITS:
        cure = f"at most {MAX_BITS}: n classes need as many as the number n has, classes inside of different ones share them"
        problems.add(f"the path has classes of {bits} bits", node.where, cure)
    return path, tuple(reader.places)
