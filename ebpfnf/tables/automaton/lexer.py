"""From raw bytes to characters, and from characters to tokens: two machines with one transition for each byte."""

from __future__ import annotations

from collections.abc import Mapping

from ebpfnf.tables.automaton.grammar import BUILT_IN

# Classes of characters. `nothing` is a byte that is part of an escape; `field` ends a field, `amp` too if it is alone.
_CLASSES = (
    "nothing", "blank", "field", "amp", "and", "digit", "high", "quote", "double", "equal", "angle", "open", "close", "comma", "semicolon",
    "at", "hash", "star", "plus", "minus", "slash", "pipe", "bang", "dot", "other", "_", *"abcdefghijklmnopqrstuvwxyz",
)  # fmt: skip
CLASS = {name: number for number, name in enumerate(_CLASSES)}
WIDTH = 64  # classes, and tokens, in a row of transitions
READER_STATES = 18  # plain, behind %, behind % and each of 16 digits

_SYMBOLS = {
    "'": "quote", '"': "double", "=": "equal", "<": "angle", ">": "angle", "(": "open", ")": "close", ",": "comma", ";": "semicolon",
    "@": "at", "#": "hash", "*": "star", "-": "minus", "/": "slash", "|": "pipe", "!": "bang", ".": "dot", "&": "and", "+": "plus",
}  # fmt: skip
_BLANK = frozenset("`\\^~$") | {chr(c) for c in (*range(0x21), 0x7F)}  # what only separates words
_RAW = {"\n": "field", "?": "field", "&": "amp", "+": "blank"}
_PLAIN, _PERCENT, _DIGIT = 0, 1, 2

Row = list[tuple[int, int, int]]  # by class: the next state, a token, another token
_NONE, _END, _WORD, _NUMBER = (BUILT_IN.index(name) for name in ("none", "end", "word", "number"))
_CALLED = {"hash": "remark", "plus": "sign"}  # classes that have another name as tokens
_TOKEN = {name: BUILT_IN.index(_CALLED.get(name, name)) for name in _CLASSES if _CALLED.get(name, name) in BUILT_IN}
_LOGIC, _REMARK, _OTHER, _STAR, _SIGN, _CALL = (BUILT_IN.index(name) for name in ("logic", "remark", "other", "star", "sign", "call"))


def decoded(byte: int) -> int:
    """The class of a character that came by an escape: such a one separates no fields."""
    c = chr(byte | 0x20) if chr(byte).isascii() and chr(byte).isalpha() else chr(byte)
    if byte >= 0x80:
        return CLASS["high"]
    if c.isdigit():
        return CLASS["digit"]
    return CLASS[_SYMBOLS.get(c, "blank" if c in _BLANK else c if c in CLASS else "other")]


def reader() -> list[list[tuple[int, int]]]:
    """state -> byte -> (next state, class). `%25` leads to where `%` does, so that escapes of escapes are decoded too."""
    plain = [(_PLAIN, CLASS[_RAW[chr(b)]] if chr(b) in _RAW else decoded(b)) for b in range(256)]
    plain[ord("%")] = (_PERCENT, CLASS["nothing"])
    rows = [plain, [(_DIGIT + int(chr(b), 16), CLASS["nothing"]) if _is_hex(b) else plain[b] for b in range(256)]]
    for high in range(16):
        row = list(plain)  # a broken escape is left out, what broke it stands
        for b in filter(_is_hex, range(256)):
            byte = high << 4 | int(chr(b), 16)
            row[b] = plain[byte] if byte == ord("%") else (_PLAIN, decoded(byte))
        rows.append(row)
    return rows


def _is_hex(byte: int) -> bool:
    return chr(byte) in "0123456789abcdefABCDEF"


# States with a meaning of their own; behind them come the nodes of the words' trie.
_STATES = (
    "empty", "minus", "slash", "pipe", "amp", "and", "compare", "star", "remark", "in_remark", "may_close", "version", "number", "word",
)  # fmt: skip
_STATE = {name: number for number, name in enumerate(_STATES)}
_OPENS = {"minus": "minus", "slash": "slash", "pipe": "pipe", "amp": "amp", "and": "and", "star": "star"}  # symbols that wait for the next
_COMPARE = ("equal", "angle")
_TWICE = {"minus": _REMARK, "pipe": _LOGIC, "amp": _LOGIC, "and": _LOGIC}
_ALONE = {"minus": _SIGN, "slash": _OTHER, "star": _STAR, "amp": _END}


def lexer(words: Mapping[str, int]) -> list[Row]:
    """state -> class -> (next state, up to two tokens): the word or symbol that ended, and what ended it."""
    children: list[dict[str, int]] = [{}]
    meaning = [_NONE]
    for text, token in sorted(words.items()):
        node = 0
        for letter in text:
            if letter not in children[node]:
                children[node][letter] = len(children)
                children.append({})
                meaning.append(_WORD)
            node = children[node][letter]
        meaning[node] = token
    base = len(_STATES) - 1  # node 1 is the first state behind the named ones

    def begin(name: str) -> tuple[int, int]:
        """The state and token of a character that begins something new."""
        if len(name) == 1:
            return (children[0][name] + base if name in children[0] else _STATE["word"]), _NONE
        if name in ("digit", "high"):
            return _STATE["number" if name == "digit" else "word"], _NONE
        if name in _OPENS:
            return _STATE[_OPENS[name]], _NONE
        if name == "field":
            return _STATE["empty"], _END
        return _STATE["compare" if name in _COMPARE else "empty"], _TOKEN.get(name, _NONE)

    def fresh(name: str, ended: int) -> tuple[int, int, int]:
        state, token = begin(name)
        return (state, ended, token) if ended else (state, token, _NONE)

    def named(state: str, name: str) -> tuple[int, int, int]:
        if state in _TWICE and name == state:
            return _STATE["empty"], _TWICE[state], _NONE
        if state == "slash" and name == "star":
            return _STATE["remark"], _REMARK, _NONE
        if state == "star" and name == "slash":
            return _STATE["empty"], _NONE, _NONE
        if state == "compare" and name in _COMPARE:
            return _STATE["compare"], _NONE, _NONE
        if state == "version" and name == "digit":
            return _STATE["version"], _NONE, _NONE
        if state in ("remark", "in_remark", "may_close") and name not in ("field", "amp"):
            if name == "star":
                return _STATE["may_close"], _NONE, _NONE
            if state == "may_close" and name == "slash":
                return _STATE["empty"], _NONE, _NONE
            return _STATE["version" if state == "remark" and name == "bang" else "in_remark"], _NONE, _NONE
        if state in ("number", "word"):
            return word(name, None, _NUMBER if state == "number" and name == "digit" else _WORD, _NUMBER if state == "number" else _WORD)
        return fresh(name, _ALONE.get(state, _NONE))

    def word(name: str, node: int | None, goes_on: int, token: int) -> tuple[int, int, int]:
        """Behind a word or a number: it goes on, or it ends. A name before a dot is left out, unless it is one of the words."""
        if len(name) == 1 or name in ("digit", "high"):
            child = children[node].get(name) if node is not None else None
            return (child + base if child else _STATE["number" if goes_on == _NUMBER else "word"]), _NONE, _NONE
        if name == "dot" and token in (_WORD, _NUMBER):
            return _STATE["empty"], _NONE, _NONE
        if name == "open":
            return _STATE["empty"], token, _CALL
        return fresh(name, token)

    rows = [[(n, _NONE, _NONE) if name == "nothing" else named(state, name) for name in _CLASSES] for n, state in enumerate(_STATES)]
    for node in range(1, len(children)):
        rows.append([(node + base, _NONE, _NONE) if name == "nothing" else word(name, node, _WORD, meaning[node]) for name in _CLASSES])
    return rows
