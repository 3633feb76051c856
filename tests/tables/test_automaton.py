"""The machine of an automaton: what lines are refused, what its tables hold, and that it is small and soon made."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from ebpfnf import spec
from ebpfnf.errors import TableError
from ebpfnf.tables.automaton import grammar, lexer, patterns, sieve
from ebpfnf.tables.automaton.blob import blob_size, decode_blob, encode_blob, states_of
from ebpfnf.tables.automaton.grammar import Line

LINES = [
    "words verb: peel",
    "words fruit: apple pear",
    "skip: remark",
    "set over: end",
    "attack: verb fruit+ over",
    "doubt: end number comma? fruit",
]


def tokens(text: bytes, lines: list[str] = LINES) -> str:
    """The tokens of a text, by the tables as the data plane walks through them."""
    read = grammar.read(lines)
    reading, lexing = lexer.reader(), lexer.lexer(read.words)
    state, at, out = 0, 0, []
    for byte in text + b"\n":
        state, kind = reading[state][byte]
        at, *found = lexing[at][kind]
        out += [read.tokens[token] for token in found if token]
    return " ".join(out[:-1])


def rank(words: str) -> int:
    """The highest rank of a row of tokens."""
    read = grammar.read(LINES)
    machine, state, ranks = patterns.machine(read), 0, 0
    for word in words.split():
        state, found = machine[state][read.tokens.index(word)]
        ranks = max(ranks, found)
    return ranks


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"peel PEEL peeled peel2 2", "verb verb word word number"),
        (b"pear.apple x.y.apple 1.5 apple.x", "fruit fruit fruit number fruit word"),
        (b"f(1) f (1)", "word call number close word open number close"),
        (b"'a'=\"b\" <> c", "quote word quote equal double word double angle word"),
        (b"a--b -- c - d # /*peel*/ e /*!50000peel*/ */ *", "word remark word remark word sign word remark remark word remark verb star"),
        (b"a||b|c&&d&e?f\ng", "word logic word word logic word end word end word end word"),
        (b"%27%2527%252527+%2b%2", "quote quote quote sign"),
        (b"%%27%zz%2z%26a%26%26b%0Ac", "quote word word logic word word"),
        (b"/x;@,: [", "other word semicolon at comma other other"),
    ],
)
def test_bytes_become_tokens(text: bytes, wanted: str) -> None:
    assert tokens(text) == wanted


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("verb fruit end", 2),
        ("word verb remark fruit remark fruit end", 2),
        ("verb fruit word end", 0),
        ("verb end fruit end", 0),
        ("number fruit word", 1),
        ("number comma fruit", 1),
        ("word number fruit", 0),
        ("word end number fruit", 1),
        ("number fruit verb fruit end", 2),
    ],
)
def test_patterns_lie_within_a_field(words: str, wanted: int) -> None:
    assert rank(words) == wanted


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("attack: verbs", "nothing is called 'verbs'"),
        ("attack: verb? fruit*", "nothing at all would fit"),
        ("words verb: p33l", "word 'p33l'"),
        ("words other: apple", "word 'apple'"),
        ("set verb: end", "'verb' is there already"),
        ("pattern: verb", "wanted a line such as"),
        ("attack:", "wanted a line such as"),
        ("set: verb", "wanted a line such as"),
        ("words any: x", "has a meaning of its own"),
    ],
)
def test_a_wrong_line_is_named(line: str, what: str) -> None:
    with pytest.raises(TableError) as error:
        states_of(dict(enumerate([*LINES, line], 1)))
    assert what in str(error.value)


def test_too_large_a_machine_is_refused_not_made() -> None:
    names = "abcdefghijklmn"
    lines = [f"words w{name}: w{name}" for name in names]
    lines += [f"attack: w{one} any* w{two} any* number{'+' * (n % 2)} comma" for n, (one, two) in enumerate(pairwise(names))]
    with pytest.raises(TableError, match="too large a machine"):
        states_of(dict(enumerate(lines, 1)))


@pytest.mark.parametrize("value", ["", "x" * 500 + ":", "no colon", "a:\n", "a: \u00e9", 5, None])
def test_a_line_is_one_line_of_ascii(value: object) -> None:
    with pytest.raises(ValueError, match="a line such as"):
        Line().parse(value)


def test_a_blob_gives_its_lines_back_and_refuses_what_has_no_room() -> None:
    lines = dict(enumerate(LINES, 1))
    blob = encode_blob(64, lines)
    assert len(blob) == blob_size(64) and decode_blob(64, blob) == lines
    with pytest.raises(TableError, match="there is room for 64"):
        encode_blob(64, {**lines, 9: "words long: " + " ".join(letter * 20 for letter in "abcdef")})


def held(sieve: list[int], line: bytes) -> bool:
    """Whether the sieve holds a line back, as the data plane asks it."""
    rows = sieve[ord("\n")]
    for byte in line + b"\n":
        rows = (rows << 8 | sieve[byte]) & (1 << 64) - 1
        if rows >> 56 != 0xFF:
            return True
    return False


def built_in() -> dict[int, str]:
    text = Path(spec.BUILT_IN, "progs/sqli_check/mnf.yaml").read_text()
    return dict(enumerate([line.strip()[3:-1] for line in text.splitlines() if line.startswith('      - "')], 1))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"a peel of apples", True),
        (b"PEEL", True),
        (b"x=peel(1)", True),
        (b"peels and unpeel, peel2", False),
        (b"%70eel", True),
        (b"a /* remark */", True),
        (b"*/* no remark", False),
        (b"a -- remark", False),
    ],
)
def test_a_sieve_holds_lines_with_words_that_patterns_need(text: bytes, wanted: bool) -> None:
    assert held(sieve.sieve(grammar.read([*LINES[:-1], "doubt: end number comma? verb"])), text) is wanted


def test_a_sieve_holds_everything_where_a_pattern_needs_no_word() -> None:
    assert held(sieve.sieve(grammar.read([*LINES, "doubt: word number"])), b"")


def test_most_of_a_request_goes_through_the_sieve() -> None:
    made = sieve.sieve(grammar.read(built_in().values()))
    usual = (
        b"GET /item?id=7&page=2 HTTP/1.1", b"Host: shop.example", b"",
        b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
        b"Accept-Encoding: gzip, deflate, br, zstd", b'sec-ch-ua: "Chromium";v="120"', b"Upgrade-Insecure-Requests: 1",
    )  # fmt: skip
    assert [line for line in usual if held(made, line)] == []


def test_the_application_firewall_needs_a_thousand_states() -> None:
    """Half a MiB: it shares a CPU's second cache with everything else."""
    assert states_of(built_in()) == 1024
