"""The lines that a person writes for an automaton: words, sets and patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ebpfnf.errors import TableError

LINE = 400  # characters at most
WANTED = "a line such as 'words logic: or and', 'set value: word number', 'skip: remark', 'attack: quote logic value', 'doubt: ...'"
# What the lexer finds by itself. `call` is a bracket directly behind a word, `open` any other; `end` is the end of a field.
BUILT_IN = (
    "none", "end", "word", "number", "quote", "double", "equal", "angle", "logic", "comma", "semicolon", "at", "star", "sign", "remark",
    "open", "call", "close", "other",
)  # fmt: skip
MAX_TOKENS = 64
MAX_PATTERNS = 256
RANKS = {"doubt": 1, "attack": 2}
_NAME = re.compile(r"[a-z][a-z_]{0,30}\Z")
_WORD = re.compile(r"[a-z][a-z_]{0,30}\Z")


@dataclass(frozen=True, slots=True)
class Line:
    """The type of a table's values and of what stands in the parameter that fills it; the data plane never sees it."""

    spelling: str = "line"
    size: int = 1
    align: int = 1
    c: str = "u8"

    def parse(self, value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= LINE or not value.isascii() or not value.isprintable() or ":" not in value:
            raise ValueError(WANTED)
        return " ".join(value.split())

    def encode(self, value: Any) -> bytes:
        raise TypeError("a line has no bytes of its own")

    def decode(self, data: bytes) -> str:
        raise TypeError("a line has no bytes of its own")


@dataclass(frozen=True, slots=True)
class Element:
    """A place in a pattern: one of some tokens, maybe none of them, maybe several."""

    tokens: frozenset[int]
    optional: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """What stands in one field of the text in this order. `end` at the beginning is the field's beginning."""

    rank: int
    elements: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Grammar:
    """What the lines say. A token's number is its place in `tokens`."""

    tokens: tuple[str, ...]
    words: Mapping[str, int]
    skip: frozenset[int]
    patterns: tuple[Pattern, ...]


def read(lines: Iterable[str]) -> Grammar:
    """The grammar of these lines, in any order. TableError names the line at fault."""
    split = [_split(line) for line in lines]
    tokens = list(BUILT_IN)
    words: dict[str, int] = {}
    for kind, name, items, line in split:
        if kind == "words":
            if name not in tokens:
                tokens.append(name)
            for word in items:
                if not _WORD.match(word) or word in words:
                    raise TableError(f"line '{line}': word '{word}'", cure="a word is a-z and _, and stands in one line")
                words[word] = tokens.index(name)
    if len(tokens) > MAX_TOKENS:
        raise TableError(f"{len(tokens) - len(BUILT_IN)} kinds of words", cure=f"at most {MAX_TOKENS - len(BUILT_IN)}")
    names = {token: frozenset({number}) for number, token in enumerate(tokens)}
    names["any"] = frozenset(range(1, len(tokens))) - names["end"]
    for kind, name, items, line in split:
        if kind == "set":
            if name in names:
                raise TableError(f"line '{line}': '{name}' is there already")
            names[name] = frozenset().union(*(_tokens(item, names, line) for item in items))
    skip = frozenset().union(*(_tokens(item, names, line) for kind, _, items, line in split if kind == "skip" for item in items))
    patterns = [_pattern(kind, items, names, line) for kind, _, items, line in split if kind in RANKS]
    if len(patterns) > MAX_PATTERNS:
        raise TableError(f"{len(patterns)} patterns", cure=f"at most {MAX_PATTERNS}")
    return Grammar(tuple(tokens), words, skip - names["end"], tuple(patterns))


def _split(line: str) -> tuple[str, str, list[str], str]:
    """Kind, name, and what stands behind the colon."""
    head, _, rest = line.partition(":")
    kind, *name = head.split()
    named = kind in ("words", "set")
    if len(name) != named or (named and not _NAME.match(name[0])) or not (named or kind == "skip" or kind in RANKS) or not rest.split():
        raise TableError(f"line '{line}'", cure="wanted " + WANTED)
    if named and name[0] in ("none", "any"):
        raise TableError(f"line '{line}': '{name[0]}' has a meaning of its own")
    return kind, name[0] if named else "", rest.split(), line


def _tokens(item: str, names: Mapping[str, frozenset[int]], line: str) -> frozenset[int]:
    found: frozenset[int] = frozenset()
    for name in item.split("|"):
        if name not in names or name == "none":
            raise TableError(f"line '{line}': nothing is called '{name}'", cure="known: " + ", ".join(n for n in names if n != "none"))
        found |= names[name]
    return found


def _pattern(kind: str, items: list[str], names: Mapping[str, frozenset[int]], line: str) -> Pattern:
    elements = []
    for item in items:
        mark = item[-1] if item[-1] in "?*+" else " "
        elements.append(Element(_tokens(item.rstrip(mark), names, line), optional=mark in ("?", "*"), repeated=mark in "*+"))
    if all(element.optional for element in elements):
        raise TableError(f"line '{line}': nothing at all would fit")
    return Pattern(RANKS[kind], tuple(elements))
