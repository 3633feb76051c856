"""The strict reading of YAML: a tree of nodes that know where they stand, or errors.

Refused: anchors and aliases, tags, directives, merge keys, duplicate keys, several documents, words that YAML's versions read
differently (scalars.py), invisible characters, anything but UTF-8, and more than the bounds below, which are checked while the
events arrive, so that a bomb costs nothing.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from ebpfnf.errors import Where
from ebpfnf.spec import scalars
from ebpfnf.spec.problems import Problems, quote

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_NODES = 200_000
MAX_SCALAR = 8192
MAX_KEY = 128

# Controls, C1 controls, lone surrogates, and what reorders or hides text (zero width, bidirectional, line separators, BOM).
_HIDDEN_IN_VALUE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff0-\uffff]"
)
_HIDDEN = re.compile(_HIDDEN_IN_VALUE.pattern + r"|\r(?!\n)")


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place. `value` is text, int or bool; a tuple of nodes; or a dict of text -> Node."""

    value: Any
    where: Where
    keys: Mapping[str, Where] = field(default_factory=dict)  # of a mapping: where each key stands

    @property
    def is_map(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, tuple)

    def plain(self) -> Any:
        """The value alone, as dict, list, str, int and bool."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, tuple):
            return [item.plain() for item in self.value]
        return self.value

    def get(self, *path: str | int) -> Node | None:
        """The node at a path of keys and indices, None where there is none."""
        node: Node = self
        for part in path:
            if isinstance(node.value, tuple):
                inside = isinstance(part, int) and part < len(node.value)
            else:
                inside = isinstance(node.value, dict) and part in node.value
            if not inside:
                return None
            node = node.value[part]
        return node

    def items(self) -> Iterator[tuple[str, Node]]:
        """Keys and nodes of a mapping; nothing for other nodes."""
        yield from self.value.items() if isinstance(self.value, dict) else ()

    def at(self, *path: str | int) -> Where:
        """The place of the deepest node on a path that exists."""
        node = self
        for part in path:
            found = node.get(part)
            if found is None:
                break
            node = found
        return node.where

    def key_at(self, *path: str | int) -> Where:
        """The place of the key (or list item) that a path ends with."""
        parent = self.get(*path[:-1])
        if parent is not None and path and path[-1] in parent.keys:
            return parent.keys[str(path[-1])]
        return self.at(*path)


def load(path: Path, problems: Problems, *, sparse: bool = False) -> Node | None:
    """The tree of a file, or None with the reason in `problems`. `sparse`: a value that is missing is an empty mapping."""
    name = str(path)
    problems.reading(name)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe doesn't make it wait
        try:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            data = _read_all(descriptor) if regular else b""
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        problems.add("no such file", Where(name))
        return None
    except OSError as error:
        problems.add(f"can't be read: {(error.strerror or 'error').lower()}", Where(name))
        return None
    if not regular:
        problems.add("not a regular file", Where(name))
        return None
    return parse(data, name, problems, sparse=sparse)


def _read_all(descriptor: int) -> bytes:
    """The file's bytes, one more than may be at most."""
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(MAX_BYTES + 1)


def parse(data: bytes, name: str, problems: Problems, *, sparse: bool = False) -> Node | None:
    """The tree of a file's bytes, or None with the reasons in `problems`."""
    problems.reading(name)
    if len(data) > MAX_BYTES:
        problems.add("the file is too big", Where(name), f"at most {MAX_BYTES} bytes")
        return None
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        problems.add("the file begins with a byte order mark", Where(name, 1, 1), "save it as UTF-8 without BOM")
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = data.count(b"\n", 0, error.start) + 1, error.start - data.rfind(b"\n", 0, error.start)
        problems.add("not UTF-8", Where(name, line, column), "save it as UTF-8")
        return None
    hidden = _HIDDEN.search(text)
    if hidden:
        line, column = text.count("\n", 0, hidden.start()) + 1, hidden.start() - text.rfind("\n", 0, hidden.start())
        problems.add(f"invisible character U+{ord(hidden[0][0]):04X}", Where(name, line, column), "remove it")
        return None
    before = problems.count()
    tree = _Builder(name, problems, sparse).run(text)
    return tree if problems.count() == before else None


class _Stop(Exception):
    """No sense in reading on."""


class _Open:
    """A list or mapping whose end has not come yet."""

    __slots__ = ("items", "key", "keys", "pairs", "where")

    def __init__(self, where: Where, mapping: bool) -> None:
        self.where = where
        self.items: list[Node] | None = None if mapping else []
        self.pairs: dict[str, Node] = {}
        self.keys: dict[str, Where] = {}
        self.key: str | None = None


class _Builder:
    """Makes nodes of ruamel's events without recursion."""

    def __init__(self, name: str, problems: Problems, sparse: bool) -> None:
        self.name, self.problems, self.sparse = name, problems, sparse
        self.open: list[_Open] = []
        self.root: Node | None = None
        self.nodes = 0

    def run(self, text: str) -> Node | None:
        """The tree of the whole text."""
        event: Event | None = None
        try:
            for event in YAML(typ="safe", pure=True).parse(text):
                self.take(event)
        except _Stop:
            return None
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = " ".join((error.problem or error.context or "can't be read").split())
            where = Where(self.name, mark.line + 1, mark.column + 1) if mark else Where(self.name)
            if r"'\t'" in what:
                self.problems.add("not YAML: a tab", where, "indent with blanks")
            else:
                self.problems.add(f"not YAML: {quote(what)[1:-1]}", where)
            return None
        except (YAMLError, ValueError, OverflowError, IndexError, RecursionError, NotImplementedError) as error:
            # what chr() says of an escape such as \UFFFFFFFF differs from one Python to the next
            what = "a character that does not exist" if isinstance(error, (ValueError, OverflowError)) else " ".join(str(error).split())
            self.problems.add(f"not YAML: {quote(what)[1:-1]}", self.place(event) if event else Where(self.name))
            return None
        if self.root is None:
            self.problems.add("the file is empty", Where(self.name, 1, 1))
        return self.root

    def place(self, event: Event) -> Where:
        mark = event.start_mark
        return Where(self.name, mark.line + 1, mark.column + 1)

    def stop(self, what: str, event: Event, cure: str) -> None:
        self.problems.add(what, self.place(event), cure)
        raise _Stop

    def take(self, event: Event) -> None:
        """One event more."""
        if isinstance(event, DocumentStartEvent):
            if event.version or event.tags:
                self.problems.add("a YAML directive", self.place(event), "remove the line that begins with '%'")
            if self.root is not None:
                self.stop("a second document", event, "one file, one document")
        elif isinstance(event, NodeEvent):
            self.node(event)
        elif isinstance(event, SequenceEndEvent | MappingEndEvent):
            done = self.open.pop()
            if done.items is None:
                self.put(Node(done.pairs, done.where, done.keys))
            else:
                self.put(Node(tuple(done.items), done.where))

    def node(self, event: NodeEvent) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.stop("too many values", event, f"at most {MAX_NODES} in a file")
        where = self.place(event)
        if isinstance(event, AliasEvent):
            self.problems.add(f"alias {quote('*' + str(event.anchor))}", where, "write the value out")
            if not self.as_key("", where):
                self.put(Node("", where))
            return
        if event.anchor is not None:
            self.problems.add(f"anchor {quote('&' + str(event.anchor))}", where, "remove it: there are no aliases here")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.problems.add(f"tag {quote(tag)}", where, "remove it: types are known from the key")
        if isinstance(event, ScalarEvent):
            self.scalar(event, where)
        elif isinstance(event, SequenceStartEvent | MappingStartEvent):
            if self.open and self.open[-1].items is None and self.open[-1].key is None:
                self.stop("a key that is a list or a mapping", event, "a key is a word")
            if len(self.open) >= MAX_DEPTH:
                self.stop("nested too deep", event, f"at most {MAX_DEPTH} levels")
            self.open.append(_Open(where, isinstance(event, MappingStartEvent)))

    def scalar(self, event: ScalarEvent, where: Where) -> None:
        text = event.value
        if len(text) > MAX_SCALAR:
            self.problems.add(f"a text of {len(text)} characters", where, f"at most {MAX_SCALAR}")
            text = "..."
        if _HIDDEN_IN_VALUE.search(text):
            self.problems.add("an escape that makes an invisible character", where, "in double quotes write the backslash twice")
        quoted = event.style is not None
        if self.as_key(text, where, quoted):
            return
        value: str | int | bool = text
        if self.sparse and not text and not quoted:
            self.put(Node({}, where))
            return
        if not quoted:
            try:
                value = scalars.plain(text)
            except ValueError as error:
                if not text and self.open and self.open[-1].key is not None:
                    where = self.open[-1].keys[self.open[-1].key]  # nothing stands there: show the key
                self.problems.add(f"{quote(text)} is not clear" if text else "a value is missing", where, str(error))
        self.put(Node(value, where))

    def as_key(self, text: str, where: Where, quoted: bool = True) -> bool:
        """Take the text as a key, if a key is what comes next."""
        parent = self.open[-1] if self.open else None
        if parent is None or parent.items is not None or parent.key is not None:
            return False
        if text == "<<" and not quoted:
            self.problems.add("merge key '<<'", where, "write the keys out")
        elif text in parent.keys:
            self.problems.add(f"duplicate key {quote(text)}", where, f"first in line {parent.keys[text].line}")
        elif len(text) > MAX_KEY:
            self.problems.add(f"a key of {len(text)} characters", where, f"at most {MAX_KEY}")
        parent.key = text
        parent.keys.setdefault(text, where)
        return True

    def put(self, node: Node) -> None:
        """The node to where it belongs."""
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if parent.items is not None:
            parent.items.append(node)
        elif parent.key is not None:
            parent.pairs.setdefault(parent.key, node)
            parent.key = None
