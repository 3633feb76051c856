"""sqli_check: percent-decoding, tokens and patterns of tokens, all of them regular expressions; the operator's lines say which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from tests.models.base import HTTP_REQUEST, NEXT, Verdict, drop, to

FIELD, AMP = "\u0100", "\u0101"  # what separates fields where it stands as it is
_RAW = {"\n": FIELD, "?": FIELD, "&": AMP, "+": " "}
_ESCAPE = re.compile(r"%(?:25)*(?:([0-9A-Fa-f]{2})|[0-9A-Fa-f]?)")
_TOKENS = re.compile(
    rf"""(?P<word>[0-9A-Za-z_\x80-\xff]+)(?P<behind>[.(]?)
    | (?P<version>/\*![0-9]*) | (?P<comment>/\*[^{FIELD}{AMP}]*?(?:\*/|(?=[{FIELD}{AMP}])|\Z))
    | (?P<logic>\|\||&&|{AMP}{AMP}) | (?P<remark>--|\#) | (?P<closing>\*/)
    | (?P<end>[{FIELD}{AMP}]) | (?P<compare>[=<>]+)
    | (?P<quote>') | (?P<double>") | (?P<comma>,) | (?P<semicolon>;) | (?P<at>@) | (?P<star>\*) | (?P<sign>[-+])
    | (?P<open>\() | (?P<close>\))
    | (?P<nothing>[!.&|`\\^~$\x00-\x20\x7f]) | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


def decode(data: bytes) -> str:
    """The text with escapes decoded, as often as they were encoded; what is left of a broken escape goes."""
    text, out, at = data.decode("latin-1"), [], 0
    while at < len(text):
        found = _ESCAPE.match(text, at)
        if found:
            out.append(chr(int(found[1], 16)) if found[1] else "")
            at = found.end()
        else:
            out.append(_RAW.get(text[at], text[at]))
            at += 1
    return "".join(out)


class Grammar:
    """The lines of an operator: tokens are letters, patterns regular expressions over them."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.words: dict[str, str] = {}
        self.sets: dict[str, set[str]] = {}
        self.letters: dict[str, str] = {}
        skip: set[str] = set()
        patterns: dict[str, list[str]] = {"attack": [], "doubt": []}
        for line in lines:
            head, _, rest = line.partition(":")
            kind, _, name = head.partition(" ")
            if kind == "words":
                self.words |= dict.fromkeys(rest.split(), name)
            elif kind == "set":
                self.sets[name] = {one for item in rest.split() for one in self._names(item)}
            elif kind == "skip":
                skip |= {one for item in rest.split() for one in self._names(item)}
            else:
                patterns[kind].append(rest)
        self.skip = "".join(map(self.letter, sorted(skip)))
        self.ranks = {kind: re.compile("|".join(map(self._regex, some)) or "(?!)") for kind, some in patterns.items()}

    def letter(self, token: str) -> str:
        return self.letters.setdefault(token, chr(0x4E00 + len(self.letters)))

    def _names(self, item: str) -> set[str]:
        return {one for name in item.split("|") for one in self.sets.get(name, {name})}

    def _regex(self, rest: str) -> str:
        """Tokens that are skipped may stand behind each place."""
        out = []
        for item in rest.split():
            names = self._names(item.rstrip("?*+"))
            fits = "[^" + self.letter("end") + "]" if names == {"any"} else "[" + "".join(map(self.letter, sorted(names))) + "]"
            out.append(f"(?:{fits}[{self.skip}]*){item[-1] if item[-1] in '?*+' else ''}")
        return "".join(out)

    def tokens(self, text: str) -> Iterator[str]:
        """The tokens of decoded text."""
        for found in _TOKENS.finditer(text):
            kind, part = str(found.lastgroup), found[0]
            if kind in ("behind", "word"):
                yield from self._word(found["word"].lower(), found["behind"])
            elif kind in ("version", "comment"):
                yield "remark"
            elif kind == "compare":
                yield "equal" if part[0] == "=" else "angle"
            elif kind not in ("nothing", "closing"):
                yield kind

    def _word(self, word: str, behind: str) -> Iterator[str]:
        token = self.words.get(word)
        if token or behind != ".":
            yield token or ("number" if word.isascii() and word.isdigit() else "word")
        if behind == "(":
            yield "call"

    def judge(self, payload: bytes) -> str:
        """attack, doubt or nothing"""
        fields = [self.letter("end")]
        for token in self.tokens(decode(payload + b"\n")):
            fields[-1] += self.letter(token)
            if token == "end":
                fields.append(self.letter("end"))
        return next((rank for rank in ("attack", "doubt") if any(self.ranks[rank].search(field) for field in fields)), "")


@lru_cache(maxsize=4)
def _grammar(lines: tuple[str, ...]) -> Grammar:
    return Grammar(lines)


class Model:
    """The model of sqli_check."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        if m["http"] != HTTP_REQUEST:
            return NEXT
        rank = _grammar(tuple(state["text"].rows)).judge(packet.payload)
        if rank == "attack":
            return drop("sql_injection")
        if rank == "doubt":
            return drop("suspicious") if cfg["on_unsure"] == "drop" else to("unsure")
        return NEXT
