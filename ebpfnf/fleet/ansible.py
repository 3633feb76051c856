"""Ansible's inventories as trees of our own form, each value with its place. Passwords in them are refused, other variables ignored."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebpfnf.errors import Where
from ebpfnf.spec.problems import Problems, quote
from ebpfnf.spec.yaml import MAX_BYTES, Node

_SETTINGS = {
    "ansible_host": "address",
    "ansible_port": "port",
    "ansible_user": "user",
    "ansible_ssh_private_key_file": "key",
    "ansible_private_key_file": "key",
    "ansible_become": "sudo",
    **{f"ebpfnf_{name}": name for name in ("known_hosts", "jump", "netns", "ports")},
}
_PORT = "ebpfnf_port_"  # ebpfnf_port_wan=enp1s0
_SECRET = re.compile(r"ansible_(?:\w+_)?pass(?:word)?\Z")
_SECTION = re.compile(r"\[([^\]:]+)(?::(vars|children))?\]\Z")
_RANGE = re.compile(r"(.*)\[([0-9]+):([0-9]+)\](.*)\Z")
_WORDS = {"yes": True, "true": True, "True": True, "no": False, "false": False, "False": False}
MAX_HOSTS = 10_000


@dataclass(slots=True)
class _Draft:
    """Our own form while it grows. `places`: where a name was said first."""

    hosts: dict[str, dict[str, Node]] = field(default_factory=dict)
    members: dict[str, dict[str, Node]] = field(default_factory=dict)  # group -> hosts
    children: dict[str, dict[str, Node]] = field(default_factory=dict)
    vars: dict[str, dict[str, Node]] = field(default_factory=dict)
    places: dict[str, Where] = field(default_factory=dict)

    def group(self, name: str, where: Where) -> None:
        for part in (self.members, self.children, self.vars):
            part.setdefault(name, {})
        self.places.setdefault(name, where)

    def host(self, name: str, group: str, where: Where) -> dict[str, Node]:
        self.places.setdefault(name, where)
        if group not in ("all", "ungrouped"):
            self.members[group][name] = Node(name, where)
        return self.hosts.setdefault(name, {})

    def tree(self, top: Where) -> Node:
        groups = {
            name: _map(
                {
                    "hosts": Node(tuple(self.members[name].values()), place),
                    "groups": Node(tuple(self.children[name].values()), place),
                    "vars": _map(self.vars[name], place),
                },
                place,
            )
            for name, place in self.places.items()
            if name in self.members and name not in ("all", "ungrouped")
        }
        hosts = {name: _map(said, self.places[name]) for name, said in self.hosts.items()}
        parts = {"ebpfnf": Node(1, top), "vars": _map(self.vars.get("all", {}), top)}
        return _map({**parts, "hosts": _named(hosts, self.places, top), "groups": _named(groups, self.places, top)}, top)


def _map(value: dict[str, Node], where: Where) -> Node:
    return Node(value, where, {key: node.where for key, node in value.items()})


def _named(value: dict[str, Node], places: dict[str, Where], top: Where) -> Node:
    return Node(value, top, {name: places[name] for name in value})


def is_ini(path: Path) -> bool:
    """Whether the file is INI: by its name, or by a line that YAML has not."""
    try:
        lines = path.read_bytes()[:MAX_BYTES].decode(errors="replace").splitlines()
    except OSError:
        return False
    return path.suffix in (".ini", ".cfg") or any(_SECTION.match(line.strip()) for line in lines)


def translate(tree: Node, problems: Problems) -> Node:
    """A YAML inventory: groups by name, each with hosts, vars and children."""
    draft = _Draft()
    for name, group in tree.items():
        _group(draft, name, group, tree.key_at(name), problems)
    return draft.tree(tree.where)


def _group(draft: _Draft, name: str, node: Node, where: Where, problems: Problems) -> None:
    draft.group(name, where)
    for key, part in node.items():
        if not part.is_map:
            problems.add(f"{quote(key)} of group {quote(name)}", part.where, "wanted a mapping, key: value")
        elif key == "hosts":
            for pattern, said in part.items():
                for host in _expanded(pattern, part.key_at(pattern), problems):
                    _settings(draft.host(host, name, part.key_at(pattern)), said, problems)
        elif key == "vars":
            _settings(draft.vars[name], part, problems)
        elif key == "children":
            for child, inner in part.items():
                draft.children[name][child] = Node(child, part.key_at(child))
                _group(draft, child, inner, part.key_at(child), problems)
        else:
            problems.add(f"unknown key {quote(key)}", node.key_at(key), "keys: hosts, vars, children")


def _settings(into: dict[str, Node], said: Node, problems: Problems) -> None:
    for key, node in said.items():
        _setting(into, key, node, said.key_at(key), problems)


def _setting(into: dict[str, Node], key: str, node: Node, where: Where, problems: Problems) -> None:
    if _SECRET.match(key):
        problems.add(f"a password in an inventory ({quote(key)})", where, "use keys, an ssh agent and sudo without password")
    elif key.startswith(_PORT):
        name = key.removeprefix(_PORT).replace("_", "-")
        before: Any = into["ports"].value if "ports" in into else {}
        into["ports"] = _map({**before, name: node}, where)
    elif key in _SETTINGS:
        into[_SETTINGS[key]] = node


def read_ini(path: Path, problems: Problems) -> Node | None:
    """An INI inventory: [group], [group:vars], [group:children]."""
    problems.reading(str(path))
    try:
        text = path.read_bytes()[: MAX_BYTES + 1].decode()
    except (OSError, UnicodeDecodeError) as error:
        problems.add(f"can't be read: {getattr(error, 'strerror', None) or 'not UTF-8'}".lower(), Where(str(path)))
        return None
    draft, group, part = _Draft(), "ungrouped", ""
    draft.group("ungrouped", Where(str(path), 1, 1))
    draft.group("all", Where(str(path), 1, 1))
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        where = Where(str(path), number, len(raw) - len(raw.lstrip()) + 1)
        if not line or line[0] in "#;":
            continue
        section = _SECTION.match(line)
        if section:
            group, part = section[1], section[2] or ""
            draft.group(group, where)
        elif line[0] == "[":
            problems.add(f"section {quote(line)}", where, "wanted [group], [group:vars] or [group:children]")
        else:
            _ini_line(draft, group, part, raw, where, problems)
    return draft.tree(Where(str(path), 1, 1))


def _ini_line(draft: _Draft, group: str, part: str, raw: str, where: Where, problems: Problems) -> None:
    try:
        words = shlex.split(raw, comments=True) if part != "vars" else [re.sub(r"\s*=\s*", "=", raw.strip(), count=1)]
    except ValueError as error:
        problems.add(f"not a line of an inventory: {error}".lower(), where)
        return
    if part == "children":
        draft.children[group][words[0]] = Node(words[0], where)
        return
    places = [words[0]] if part == "" else []
    hosts = [draft.host(name, group, where) for pattern in places for name in _expanded(pattern, where, problems)]
    for word in words[len(places) :]:
        key, equals, value = word.partition("=")
        at = Where(where.file, where.line, raw.find(key) + 1)
        if not equals:
            problems.add(f"{quote(word)}", at, "wanted key=value")
        for into in hosts if part == "" else [draft.vars[group]]:
            _setting(into, key, Node(_ini_value(key, value), at), at, problems)


def _ini_value(key: str, value: str) -> str | int | bool:
    if key == "ansible_port" and value.isdecimal():
        return int(value)
    return _WORDS.get(value, value) if key == "ansible_become" else value


def _expanded(pattern: str, where: Where, problems: Problems) -> Iterator[str]:
    """web[01:03] is web01, web02 and web03."""
    found = _RANGE.match(pattern)
    if not found:
        yield pattern
        return
    before, first, last, after = found.groups()
    if int(last) - int(first) >= MAX_HOSTS:
        problems.add(f"{quote(pattern)} names too many hosts", where, f"at most {MAX_HOSTS}")
        return
    for number in range(int(first), int(last) + 1):
        yield f"{before}{number:0{len(first)}}{after}"
