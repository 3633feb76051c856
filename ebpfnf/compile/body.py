"""What an mNF's body may not hold, found before the compiler sees it.

A body is a plain C function and its helpers. Whatever could reach outside of it (other files, other functions' text,
sections, assembly, the program's context, helpers of the kernel) is refused by its token, where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ebpfnf.errors import CompileError, Where

_REFERENCE = "docs/reference/body.md lists what a body may use"
_HELPERS = frozenset({"bpf_htons", "bpf_ntohs", "bpf_htonl", "bpf_ntohl"})
_BUILTINS = frozenset(f"__builtin_{name}" for name in ("memcpy", "memset", "expect", "offsetof", "bswap16", "bswap32", "bswap64"))
_WORDS = {
    "asm": "assembly",
    "__asm": "assembly",
    "__asm__": "assembly",
    "_Pragma": "a pragma",
    "__pragma": "a pragma",
    "SEC": "a section",
    "ctx": "the program's context",
    "__DATE__": "the time of the build",
    "__TIME__": "the time of the build",
    "__TIMESTAMP__": "the time of the build",
}
_ATTRIBUTES = frozenset({"packed", "unused", "fallthrough"})
_PAIRS = {")": "(", "]": "[", "}": "{"}

# What lets clang read a line otherwise than this scanner does, so it is refused even in comments and strings.
_TRICKS = (
    (re.compile(r"\\[ \t]*(?:\r?\n|\Z)"), "a line continued by a backslash"),
    (re.compile(r"\?\?[=/'()!<>-]"), "a trigraph"),
    (re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)"), "a control character"),
)
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<open>/\*)
      | (?P<literal>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<quote>["'])
      | (?P<word>[A-Za-z_$][A-Za-z0-9_$]*)
      | (?P<number>\.?[0-9](?:[eEpP][+-]|[A-Za-z0-9_.])*)
      | (?P<digraph>%:|<:|:>|<%|%>)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def check(text: str, path: str) -> tuple[CompileError, ...]:
    """Everything that is refused in this body, in order; `path` is what a person is shown."""
    found = [*_tricks(text), *_refused(tuple(_tokens(text)))]
    return tuple(CompileError(what, _where(text, at, path), cure) for at, what, cure in sorted(found, key=lambda item: item[0]))


def _where(text: str, at: int, path: str) -> Where:
    return Where(path, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def _tricks(text: str) -> Iterator[tuple[int, str, str]]:
    for pattern, name in _TRICKS:
        for match in pattern.finditer(text):
            yield match.start(), f"{name} stands in the body", "write it plainly"


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "space":
            yield _Token(match.lastgroup or "", match.group(), match.start())


def _refused(tokens: tuple[_Token, ...]) -> Iterator[tuple[int, str, str]]:
    opened: list[_Token] = []
    for i, token in enumerate(tokens):
        after = [t.text for t in tokens[i + 1 : i + 6]]
        match token.kind, token.text:
            case "open", _:
                yield token.at, "a comment has no end", "close it by */"
            case "quote", _:
                yield token.at, "a literal has no end", "close it on its line"
            case "digraph", _:
                yield token.at, f"the digraph '{token.text}' stands in the body", "write it plainly"
            case "other", "#":
                yield token.at, "a body has no preprocessor lines", "constants: enum { LOCAL(LIMIT) = 3 }; helpers: static inline"
            case "other", "\\":
                yield token.at, "a backslash stands outside of a literal", "write it plainly"
            case "other", "[" if after[:1] == ["["]:
                yield token.at, "an attribute in [[ ]] stands in the body", _REFERENCE
            case "word", "__attribute__" | "__attribute" if not (
                after[:2] == ["(", "("] and after[2].strip("_") in _ATTRIBUTES and after[3:] == [")", ")"]
            ):
                yield token.at, "an attribute may be " + ", ".join(sorted(_ATTRIBUTES)), "write __attribute__((packed))"
            case "word", word if word in _WORDS:
                yield token.at, f"'{word}' is {_WORDS[word]}, which a body may not touch", _REFERENCE
            case "word", word if word.startswith(("bpf_", "BPF_", "bcc_")) and word not in _HELPERS:
                yield token.at, f"'{word}' belongs to the framework", _REFERENCE
            case "word", word if word.startswith("__builtin_") and word not in _BUILTINS:
                yield token.at, f"'{word}' is not in BPF, or not needed", "memcpy, memset, expect, offsetof and bswap are"
        if token.kind == "other" and token.text in "([{":
            opened.append(token)
        elif token.kind == "other" and token.text in _PAIRS and (not opened or opened.pop().text != _PAIRS[token.text]):
            yield token.at, f"'{token.text}' has no '{_PAIRS[token.text]}'", "brackets pair up within a body"
            return
    for token in opened[-1:]:
        yield token.at, f"'{token.text}' is never closed", "brackets pair up within a body"
