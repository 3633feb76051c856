"""Maglev's promises: even shares, little movement, the same table on each host."""

from __future__ import annotations

from collections import Counter

import pytest

from ebpfnf.tables import maglev
from ebpfnf.tables.types import type_of

VALUE = type_of([["index", "u16"], ["v4", "ip"], ["port", "port"]])


def names(*numbers: int) -> dict[int, bytes]:
    return {n: b"backend %d" % n for n in numbers}


@pytest.mark.parametrize("count", [1, 2, 3, 16, 64, 256])
def test_shares_are_even(count: int) -> None:
    """Each slot is taken, and shares differ by one slot at most."""
    shares = Counter(maglev.fill(names(*range(1, count + 1))))
    assert set(shares) == set(range(1, count + 1)) and max(shares.values()) - min(shares.values()) <= 1


def test_little_moves_when_one_goes_or_comes() -> None:
    """Of the slots of those that stay a few percent change hands."""
    ten, nine = maglev.fill(names(*range(1, 11))), maglev.fill(names(*range(1, 10)))
    moved = sum(1 for a, b in zip(ten, nine, strict=True) if a != b and a != 10)
    assert moved < 0.05 * maglev.SLOTS


def test_numbers_and_order_do_not_decide_the_contents_do() -> None:
    """Two hosts with the same backends under other numbers send a flow to the same one."""
    here = maglev.fill({1: b"a", 2: b"b", 3: b"c"})
    there = maglev.fill({3: b"a", 1: b"b", 2: b"c"})
    assert [{1: 3, 2: 1, 3: 2}[n] for n in here] == list(there)
    assert maglev.identity({"index": 1, "v4": "10.0.0.1"}) == maglev.identity({"index": 2, "v4": "10.0.0.1"})


def test_the_table_is_the_same_for_ever() -> None:
    """A changed hash would move every connection at the next deploy: this pins it."""
    assert list(maglev.fill(names(1, 2, 3))[:12]) == [2, 1, 3, 3, 3, 1, 1, 3, 2, 2, 2, 2]


def test_a_blob_gives_back_its_entries() -> None:
    """Numbers may have holes; none at all is no slot taken."""
    entries = {1: {"index": 1, "v4": "10.1.0.1", "port": 80}, 7: {"index": 7, "v4": "::", "port": 8080}}
    assert maglev.decode_blob(8, VALUE, maglev.encode_blob(8, VALUE, entries)) == entries
    empty = maglev.encode_blob(8, VALUE, {})
    assert maglev.decode_blob(8, VALUE, empty) == {} and not any(empty)
