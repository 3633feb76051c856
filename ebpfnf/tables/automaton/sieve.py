"""A sieve before the machine: what holds none of the words without which no pattern fits need not be read by it.

It looks for rows of up to eight bytes, all of them at once (shift-or, Baeza-Yates and Gonnet 1992): a step is a load, a shift and an or.
It may hold back a text in which the machine finds nothing, but lets none through in which the machine would find something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from math import prod
from string import ascii_lowercase, punctuation

from ebpfnf.tables.automaton.grammar import BUILT_IN, Grammar, Pattern
from ebpfnf.tables.automaton.lexer import CLASS, reader

PLACES = GROUPS = 8
_ALL = frozenset(range(256))
_IN_WORDS = frozenset(byte for byte, (_, kind) in enumerate(reader()[0]) if kind in (CLASS["digit"], CLASS["high"]) or kind >= CLASS["_"])
_APART = _ALL - _IN_WORDS
_USUAL = {"like", "http"}  # in the name of every browser, in every request's first line
_SHARE = [
    1 / 40 if chr(b) in ascii_lowercase + "/" else 1 / 128 if chr(b) in punctuation else 1 / 2000 for b in range(256)
]  # of a text, about

Row = tuple[frozenset[int], ...]  # the bytes that may stand at each place


def sieve(grammar: Grammar) -> list[int]:
    """A word for each byte: bit 8 * place + group is 0 where a row of that group may hold it there. All rows end at the last place."""
    words = [(1 << 8 * PLACES) - 1] * 256
    for group, row in enumerate(_groups(_rows(grammar))):
        for place, there in enumerate(row):
            for byte in there:
                words[byte] &= ~(1 << 8 * place + group)
    return words


def _groups(rows: Iterable[Row]) -> list[Row]:
    """Neighbours, by length and text, that become one row with the least chance of being found in vain."""
    groups = [((_ALL,) * (PLACES - len(row)) + row) for row in sorted(rows, key=lambda row: (len(row), [min(there) for there in row]))]
    while len(groups) > GROUPS:
        losses = [_loss(*both) for both in pairwise(groups)]
        at = losses.index(min(losses))
        groups[at : at + 2] = [_joined(*groups[at : at + 2])]
    return groups


def _joined(one: Row, other: Row) -> Row:
    return tuple(a | b for a, b in zip(one, other, strict=True))


@lru_cache(maxsize=1024)
def _loss(one: Row, other: Row) -> float:
    return _chance(_joined(one, other)) - _chance(one) - _chance(other)


def _chance(row: Row) -> float:
    return prod(sum(_SHARE[byte] for byte in there) for there in row)


def _rows(grammar: Grammar) -> list[Row]:
    """What the sieve holds back."""
    opened = (_ALL - {ord("*")}, *_symbol("/*"))  # behind a star a slash opens nothing
    spelt = {
        "quote": [_symbol("'")],
        "double": [_symbol('"')],
        "logic": [_symbol("||"), _symbol("&&")],
        "remark": [_symbol("#"), _symbol("--"), opened],
    }  # other symbols stand in every request
    by_token = {BUILT_IN.index(name): rows for name, rows in spelt.items()}
    costs = {token: sum(4.0 ** -len(row) for row in rows) for token, rows in by_token.items()}
    for word, token in grammar.words.items():
        by_token.setdefault(token, []).append(_word(word))
        costs[token] = costs.get(token, 0) + (1 if word in _USUAL else 4.0 ** -len(word))
    wanted = _wanted(grammar.patterns, costs)
    if wanted is None:
        return [(_ALL,)]
    # an escape may be anything, and in a remark that is a version a word begins without a blank
    return [_symbol("%"), opened, *(row for token in sorted(wanted) for row in by_token[token])]


def _wanted(patterns: Iterable[Pattern], costs: Mapping[int, float]) -> set[int] | None:
    """Tokens of which each pattern needs one, that few texts hold (`costs`: how many do); None where there are none such."""
    choices = [[e.tokens for e in pattern.elements if not e.optional and e.tokens <= costs.keys()] for pattern in patterns]
    wanted: set[int] = set()
    for some in sorted(choices, key=len):
        if not some:
            return None
        wanted |= min(some, key=lambda tokens: (sum(costs[token] for token in tokens - wanted), sorted(tokens)))
    return wanted


def _symbol(text: str) -> Row:
    return tuple(frozenset({ord(c)}) for c in text)


def _word(text: str) -> Row:
    """Between bytes of no word; of a long one the beginning."""
    return (_APART, *(frozenset({ord(c), ord(c.upper())}) for c in text), _APART)[:PLACES]
