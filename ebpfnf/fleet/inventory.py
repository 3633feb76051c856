"""Inventories: which hosts there are, how each is reached, and which of its interfaces stands behind which port.

    ebpfnf: 1
    vars: {user: ops, known_hosts: known_hosts}
    hosts:
      edge-1: {address: 192.0.2.11, ports: {wan: enp1s0, lan: enp2s0}}
      edge-2: {address: 192.0.2.12, jump: edge-1}
    groups:
      edge: {hosts: [edge-1, edge-2], vars: {sudo: true}}

What is said nearer to a host wins: vars, then groups from outside to inside, then the host itself. `all` is every host.
Ansible's inventories, INI and YAML, are read too (ansible.py). Nothing secret belongs in one: keys are named, or in an agent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from ebpfnf.errors import SpecError, Where
from ebpfnf.fleet import ansible
from ebpfnf.spec import shape, yaml
from ebpfnf.spec.files import Interface, Kebab
from ebpfnf.spec.problems import Problems, meant, quote
from ebpfnf.spec.yaml import Node

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")
_ADDRESS = re.compile(r"[A-Za-z0-9:](?:[A-Za-z0-9.:_%-]{0,252}[A-Za-z0-9:])?\Z")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\Z")
_PATHS = ("key", "known_hosts")


@dataclass(frozen=True, slots=True)
class Target:
    """A host of an inventory. `ports`: the interface behind a port, where it differs from the deployment's file."""

    name: str
    address: str
    user: str = ""  # empty: what ssh's own configuration says
    port: int = 0
    key: str = ""  # file of the private key; empty: the agent's, and the usual files
    known_hosts: str = ""  # file; empty: the usual ones
    jump: Target | None = None  # the host through which this one is reached
    netns: str = ""  # network namespace of this machine from which it is reached
    sudo: bool = False
    agent_user: str = ""  # the agent is this user with three capabilities; empty: whoever came
    ports: Mapping[str, str] = field(default_factory=dict)
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """All hosts of a file by name, and the hosts of each group."""

    file: str
    hosts: Mapping[str, Target]
    groups: Mapping[str, tuple[str, ...]]

    def select(self, name: str = "") -> tuple[Target, ...]:
        """The hosts of a group, or the host, of that name; all where there is none."""
        if name in ("", "all"):
            return tuple(self.hosts.values())
        if name in self.groups:
            return tuple(self.hosts[host] for host in self.groups[name])
        if name in self.hosts:
            return (self.hosts[name],)
        raise SpecError(f"no group or host {quote(name)}", Where(self.file), meant(name, [*self.groups, *self.hosts], "there are"))


def _fits(rule: re.Pattern[str], wanted: str) -> AfterValidator:
    def check(text: str) -> str:
        if not rule.match(text):
            raise ValueError(wanted)
        return text

    return AfterValidator(check)


Name = Annotated[str, _fits(_NAME, "a host's name: letters, digits and '._-', at most 63 characters")]
Address = Annotated[str, _fits(_ADDRESS, "an address or a host's name")]


class Settings(shape.Shape):
    """What may be said of a host, by itself or for a group."""

    address: Address | None = None
    user: Annotated[str, _fits(_USER, "a user's name")] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    key: str | None = None
    known_hosts: str | None = None
    jump: Name | None = None
    netns: Name | None = None
    sudo: bool | None = None
    agent_user: Annotated[str, _fits(_USER, "a user's name")] | None = None
    ports: dict[Kebab, Interface] = {}  # noqa: RUF012 -- pydantic copies it


class GroupShape(shape.Shape):
    """A group: hosts, groups in it, and what holds for all of them."""

    hosts: list[Name] = []  # noqa: RUF012
    groups: list[Name] = []  # noqa: RUF012
    vars: Settings = Settings()


class InventoryShape(shape.Shape):
    """The file."""

    ebpfnf: Annotated[int, Field(ge=1, le=1)]
    vars: Settings = Settings()
    hosts: Annotated[dict[Name, Settings], Field(min_length=1)]
    groups: dict[Name, GroupShape] = {}  # noqa: RUF012


def load(path: Path) -> Inventory:
    """The inventory in a file. Raises SpecErrors with all that is wrong in it."""
    problems = Problems()
    found = _read(path, problems)
    problems.raise_any()
    assert found is not None
    return found


def select(words: str) -> tuple[Target, ...]:
    """The hosts that `FILE[:GROUP]` names."""
    file, _, name = words.rpartition(":") if ":" in words and not Path(words).exists() else (words, "", "")
    return load(Path(file)).select(name)


def _read(path: Path, problems: Problems) -> Inventory | None:
    tree = _tree(path, problems)
    checked = shape.check(InventoryShape, tree, problems) if tree else None
    if tree is None or checked is None or problems.count():
        return None
    file, node = checked
    _check_names(file, node, problems)
    if problems.count():
        return None
    groups = {name: tuple(dict.fromkeys(_members(file, name))) for name in file.groups}
    said = {name: _settings(file, name, path) for name in file.hosts}
    _check_jumps(said, node, problems)
    if problems.count():
        return None
    return Inventory(str(path), {name: _target(name, said, node) for name in said}, groups)


def _tree(path: Path, problems: Problems) -> Node | None:
    """The file as a tree of our own form, whichever it has."""
    if path.suffix in (".ini", ".cfg", "") and ansible.is_ini(path):
        return ansible.read_ini(path, problems)
    tree = yaml.load(path, problems, sparse=True)
    if tree is None or not tree.is_map or "ebpfnf" in tree.value:
        return tree
    return ansible.translate(tree, problems)


def _check_names(file: InventoryShape, node: Node, problems: Problems) -> None:
    for name, group in file.groups.items():
        if name in file.hosts or name == "all":
            problems.add(f"group {quote(name)} is a host too" if name in file.hosts else "'all' is every host", node.key_at("groups", name))
        for key, wanted, known in (("hosts", group.hosts, file.hosts), ("groups", group.groups, file.groups)):
            for number, each in enumerate(wanted):
                if each not in known:
                    problems.add(f"no {key[:-1]} {quote(each)}", node.at("groups", name, key, number), meant(each, known, key))
    for name in file.groups:
        if _circular(file, name, ()):
            problems.add(f"group {quote(name)} is inside itself", node.key_at("groups", name))


def _circular(file: InventoryShape, name: str, above: tuple[str, ...]) -> bool:
    inside = file.groups[name].groups if name in file.groups else []
    return name in above or any(_circular(file, each, (*above, name)) for each in inside)


def _check_jumps(said: Mapping[str, Mapping[str, Any]], node: Node, problems: Problems) -> None:
    for name in said:
        seen, at = {name}, said[name].get("jump")
        while at:
            if at not in said or at in seen:
                words = f"no host {quote(at)} to jump over" if at not in said else f"{quote(name)} is reached over itself"
                problems.add(words, node.key_at("hosts", name), "jump names another host of this file")
                break
            seen.add(at)
            at = said[at].get("jump")


def _members(file: InventoryShape, name: str) -> Iterator[str]:
    group = file.groups[name]
    yield from group.hosts
    for inner in group.groups:
        yield from _members(file, inner)


def _around(file: InventoryShape, host: str) -> Sequence[Settings]:
    """What groups say of a host, from outside to inside."""
    holding = [name for name in file.groups if host in _members(file, name)]
    outside_first = sorted(holding, key=lambda name: sum(1 for other in holding if _inside(file, other, name)), reverse=True)
    return [file.groups[name].vars for name in outside_first]


def _inside(file: InventoryShape, name: str, group: str) -> bool:
    return any(inner == name or _inside(file, name, inner) for inner in file.groups[group].groups)


def _settings(file: InventoryShape, name: str, path: Path) -> Mapping[str, Any]:
    settings: dict[str, Any] = {"address": name}
    ports: dict[str, str] = {}
    for said in (file.vars, *_around(file, name), file.hosts[name]):
        settings |= {key: value for key, value in said.model_dump(exclude={"ports"}).items() if value is not None}
        ports |= said.ports
    for key in _PATHS:
        if key in settings:
            settings[key] = str(path.parent / Path(settings[key]).expanduser())
    return {**settings, "ports": ports}


def _target(name: str, said: Mapping[str, Mapping[str, Any]], node: Node) -> Target:
    own = dict(said[name])
    jump = own.pop("jump", None)
    return Target(name, **own, jump=_target(jump, said, node) if jump else None, where=node.key_at("hosts", name))
