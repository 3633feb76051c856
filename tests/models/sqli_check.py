"""sqli_check: percent-decoding, a tokeniser and token patterns, all of them regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.models.base import HTTP_REQUEST, NEXT, Verdict, drop, to

BYTES, LEXEMES = 1024, 256
QUOTES = ("'", '"')
NEWLINE, AMPERSAND = "\u0100", "\u0101"  # unescaped ones end a field

# keyword -> token
_WORDS = {
    "logic": "or and xor having",
    "where": "where",
    "null": "null true false",
    "like": "like rlike regexp in",
    "is": "is",
    "union": "union",
    "all": "all distinct",
    "select": "select",
    "from": "from",
    "catalogue": "information_schema sysobjects sqlite_master pg_tables all_tables",
    "shell": "xp_cmdshell",
    "ddl": "drop truncate alter",
    "table": "table database",
    "delete": "delete",
    "insert": "insert",
    "into": "into",
    "values": "values",
    "update": "update",
    "set": "set",
    "exec": "exec execute declare shutdown",
    "waitfor": "waitfor",
    "delay": "delay outfile dumpfile",
    "order": "order group",
    "by": "by",
    "http": "http",
    "nothing": "not",
}
_CALLS = {
    "call": "ascii substring substr mid concat concat_ws group_concat hex unhex ifnull nullif cast convert exists ord chr elt",
    "cond": "if",
    "sleep": "sleep",
    "strong": "benchmark load_file extractvalue updatexml pg_sleep",
}


def _packed(word: str) -> bytes:
    """The last eight characters, the bit for lower case set."""
    return bytes(ord(c) | 0x20 for c in word)[-8:].rjust(8)


def _letters(packed: bytes) -> bytes:
    """Digits don't count in keywords: /*!50000union*/."""
    return bytes(b if b & 0x40 else 0x20 for b in packed)


_KEYWORDS = {_packed(w): kind for kind, words in _WORDS.items() for w in words.split()}
_FUNCTIONS = {_packed(w): kind for kind, words in _CALLS.items() for w in words.split()}

_SHORT = {"OPERAND": "word number null", "ARGUMENT": "word number null quote at call sleep select"}
_SOFT = {"comment", "star"}
_STRONG = """
quote ; logic ; number ; compare ; ARGUMENT
quote ; logic ; quote ; OPERAND? ; quote ; compare ; OPERAND|quote
first ; logic ; number ; compare ; number|quote|call|sleep
logic ; quote? ; OPERAND ; quote? ; compare ; quote? ; same
quote|first ; logic ; number ; like ; quote|paren
logic ; quote? ; OPERAND ; quote? ; like ; quote? ; same_literal
quote ; comment ; end
quote ; bare ; quote ; OPERAND ; end
quote|first ; order ; by ; number ; comma|from|comment|end
quote|first ; logic? ; sleep ; number|select|call
quote|first ; logic ; call|cond
quote|first ; logic ; OPERAND? ; subselect
union ; all? ; select ; at
union ; all? ; select ; number|null|quote|star ; comma|from|comment
first ; union ; all? ; select ; OPERAND|quote|star ; comma|from|comment|end
quote ; union ; all? ; select ; OPERAND+|comma+|from+|catalogue+|star+ ; comment ; end
select|from ; call|sleep|catalogue
semicolon ; ddl ; table ; word ; end|comment|semicolon|quote
semicolon ; delete ; from ; word ; comment|where|semicolon
semicolon ; insert ; into ; word+|comma+ ; values ; ARGUMENT
semicolon ; update ; word ; set ; word ; compare
semicolon ; exec ; quote|at|shell|comment
shell|strong ; ARGUMENT
waitfor|into ; delay ; quote
select ; star ; from ; word
first ; logic ; number|null ; comment ; end
"""
_DOUBT = """
quote ; logic ; number|null ; end|comment
quote ; logic ; OPERAND ; compare ; OPERAND|quote
quote ; logic ; quote? ; OPERAND ; quote? ; like ; quote|paren
quote ; logic ; OPERAND ; is ; null
quote ; union ; all? ; select ; OPERAND ; comma|from|comment
compare ; subselect ; OPERAND ; from ; word ; end|where
"""


class _Language:
    """The patterns as one regular expression over letters; a letter stands for a set of names that a token goes by."""

    def __init__(self, text: str) -> None:
        self.lines = [[part.strip() for part in line.split(";")] for line in text.strip().splitlines()]

    def _names(self, part: str) -> set[str]:
        part = part.rstrip("?").replace("+", "")
        return {name for word in part.split("|") for name in _SHORT.get(word, word).split()}

    def _regex(self, parts: list[str], letters: dict[frozenset[str], str]) -> str:
        """Comments and stars may stand between any two parts."""
        soft = "[" + "".join(c for names, c in letters.items() if names & _SOFT) + "]*" if any(n & _SOFT for n in letters) else ""
        out = []
        for part in parts:
            fit = "".join(c for names, c in letters.items() if names & self._names(part))
            one = f"(?:[{fit}]{soft})" if fit else "(?!)"
            out.append(f"(?:{one})?" if part.endswith("?") else f"(?:{one})+" if "+" in part else one)
        return "".join(out)

    def found(self, tokens: list[frozenset[str]]) -> bool:
        letters: dict[frozenset[str], str] = {}
        for names in tokens:
            letters.setdefault(names, chr(0x4E00 + len(letters)))
        text = "".join(letters[names] for names in tokens)
        return any(re.search(self._regex(parts, letters), text) for parts in self.lines)

    def begun(self, tokens: list[frozenset[str]]) -> bool:
        """Whether the text ends within a pattern, at its second token at least."""
        letters: dict[frozenset[str], str] = {}
        for names in tokens:
            letters.setdefault(names, chr(0x4E00 + len(letters)))
        text = "".join(letters[names] for names in tokens)
        for parts in self.lines:
            for length in range(1, len(parts)):
                head = [*parts[:length], parts[length].rstrip("?")]
                if re.search(self._regex(head, letters) + r"\Z", text):
                    return True
        return False


STRONG, DOUBT = _Language(_STRONG), _Language(_DOUBT)

_ESCAPE = re.compile(r"%(?:25)*(?:(?!25)([0-9A-Fa-f]{2})|[0-9A-Fa-f]?)")


def decode(data: bytes) -> str:
    """The text with escapes decoded, as often as they were encoded. What is left of a broken escape goes."""
    out, at = [], 0
    text = data.decode("latin-1")
    while at < len(text):
        if text[at] == "%":
            match = _ESCAPE.match(text, at)
            assert match
            out.append(chr(int(match[1], 16)) if match[1] else "")
            at = match.end()
        else:
            out.append({"\n": NEWLINE, "&": AMPERSAND, "+": " "}.get(text[at], text[at]))
            at += 1
    return "".join(out)


_LEX = re.compile(
    rf"(?P<word>[0-9A-Za-z_\x80-\xff]+)|(?P<field>[{NEWLINE}{AMPERSAND}])|(?P<space>[ \t\n\v\f\r]+)|(?P<symbol>.)",
    re.DOTALL,
)
_SYMBOLS = {"'": "quote", '"': "quote", ",": "comma", ";": "semicolon", "@": "at", "#": "comment"}
_IGNORED = set("().!`\\^~$-+|&") | {chr(c) for c in (*range(0x20), 0x7F)}
Token = frozenset[str]
_BARRIER: Token = frozenset()


def tokens(text: str) -> Iterator[Token]:
    """What the patterns are about, each token with all names that it goes by; an empty set is what stands in no pattern."""
    before = ""  # the symbol before, blanks left out: "a" for a word, "/*" and "*/" for the ends of a comment
    left = last = b""
    for match in _LEX.finditer(text):
        kind, c = match.lastgroup, match[0]
        if kind == "word":
            packed = bytes(ord(x) | 0x20 for x in c)[-8:].rjust(8)
            names = _word(packed, before, text[match.end() : match.end() + 1], left)
            if names:
                yield frozenset(names)
            if "like" in names:
                left = last
            before, last = "a", packed
        elif kind == "field":
            yield frozenset({"end"})
            before, left, last = "\n", b"", b""
        elif kind == "symbol":
            name = _symbol(c, before, text[: match.start()], text[match.end() :])
            if name != "":
                yield frozenset({name} if name else ())
            if c in "=<>":
                left = last
            if (before, c) in (("/", "*"), ("*", "/")):
                before += c
            else:
                before = "~" if c == "'" and not name else c


def _word(packed: bytes, before: str, following: str, left: bytes) -> set[str]:
    """The names of a word; none when it is passed over."""
    number = not any(b & 0xC0 for b in packed)
    letters = _letters(packed)
    kind = None if number else _KEYWORDS.get(letters) or (_FUNCTIONS.get(letters) if following == "(" else None)
    if kind == "nothing":
        return set()
    if kind == "http" and following == "/":
        kind = "end"
    elif kind in ("http", None):
        if following == "." or before == "/*":
            return set()
        kind = "number" if number else "word"
    names = {kind}
    if kind == "where":
        names.add("logic")
    if kind == "select" and before == "(":
        names.add("subselect")
    if kind == "logic" and not (before in QUOTES and following in QUOTES):
        names.add("bare")
    if number and before not in ("a", "(", "<", ">"):
        names.add("first")
    if before == "(":
        names.add("paren")
    if packed == left:
        names |= {"same", "same_literal"} if number or before in QUOTES else {"same"}
    return names


def _symbol(c: str, before: str, behind: str, ahead: str) -> str | None:
    """The name of a symbol; "" when it is passed over, None when it ends every pattern."""
    if c in "=<>":
        return "" if before in ("=", "<", ">") else "compare"
    if c == before and c in "-|&":
        return "comment" if c == "-" else "logic"
    if c == "*":
        return "comment" if before == "/" else "" if before in ("*", "/*") else "star"
    if c == "/":
        return "" if before == "*" or re.match(r"[ \t\n\v\f\r]*\*", ahead) else None
    if c == "'" and re.search(r"(?<![0-9A-Za-z_\x80-\xff])[dlDL]\Z", behind):
        return ""  # French: l'or, d'or
    if c in _IGNORED:
        return ""
    return _SYMBOLS.get(c)


_METHODS = {_packed(w) for w in ("get", "put", "post", "head", "trace", "patch", "delete", "options", "connect")}


_LEXEME = re.compile(r"[0-9A-Za-z_\x80-\xff]*[^0-9A-Za-z_\x80-\xff]")
_SPACES = " \t\n\v\f\r"


def judge(payload: bytes) -> str:
    """attack, unsure or clean"""
    text = decode(payload[:BYTES])
    ends = [match.end() for match in _LEXEME.finditer(text) if match[0] not in _SPACES]
    whole = len(payload) <= BYTES and len(ends) < LEXEMES
    if not whole:
        text = text[: ends[min(len(ends), LEXEMES) - 1]] if ends else ""
    found = list(tokens(text))
    if whole:
        found.append(frozenset({"end"}))
    if STRONG.found(found) or any(DOUBT.found(field) and _remark(field) for field in _fields(found)):
        return "attack"
    first = re.match(rf"[{_SPACES}]*([0-9A-Za-z_\x80-\xff]+)", text)
    opened = first and _letters(_packed(first[1])) in _METHODS and NEWLINE not in text
    if opened or DOUBT.found(found) or (not whole and (STRONG.begun(found) or DOUBT.begun(found))):
        return "unsure"
    return "clean"


def _fields(found: list[Token]) -> Iterator[list[Token]]:
    """The tokens up to each end."""
    field: list[Token] = []
    for token in found:
        field.append(token)
        if "end" in token:
            yield field
            field = []


def _remark(field: list[Token]) -> bool:
    """Whether a comment is the last before the end."""
    hard = [token for token in field[:-1] if not token & {"star"}]
    return bool(hard) and "comment" in hard[-1]


class Model:
    """The model of sqli_check."""

    def run(self, packet, state, cfg, m) -> Verdict:  # type: ignore[no-untyped-def]
        if m["http"] != HTTP_REQUEST or not packet.payload:
            return NEXT
        verdict = judge(packet.payload)
        if verdict == "attack":
            return drop("sql_injection")
        if verdict == "unsure":
            return drop("suspicious") if cfg["on_unsure"] == "drop" else to("unsure")
        return NEXT
