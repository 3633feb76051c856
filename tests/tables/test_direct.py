"""Direct tables as bytes: what goes in comes out, nothing is lost on the way, and `auto` chooses what fits."""

from __future__ import annotations

import dataclasses
import random
import struct
from typing import Any

import pytest

from ebpfnf.errors import TableError
from ebpfnf.model import Table
from ebpfnf.tables.direct import exact, prefix, rules, shape
from ebpfnf.tables.direct.choose import acl_rows, chosen, rows_of
from ebpfnf.tables.direct.place import LARGEST, stagger
from ebpfnf.tables.layout import kernel_maps, layout_digest
from ebpfnf.tables.match import MatchField, describe

PORTS = describe([MatchField("l4.dport", "port", "range", "l4")])


def table(kind: str, **more: Any) -> Table:
    base: dict[str, Any] = dict(key=None, value="u32", size=64, filled_by="operator", scope="host", when_full="", keep=False)
    return Table(name=f"edge.acl.{kind}", map=f"edge-acl-{kind}", kind=kind, **{**base, **more})


def test_a_full_exact_table_holds_every_key_it_was_promised_room_for() -> None:
    """A prototype lost 93 of 10,000 keys where a bucket overflowed; here a key moves, or all are hashed anew."""
    for size in (1, 2, 3, 4, 5, 7, 10, 64, 1000, 20_000):
        made = chosen(table("exact", key="u64", size=size), "direct")
        rows = {struct.pack("=Q", n * 0x10001): struct.pack("=I", n) for n in range(size)}
        assert exact.read(made, 8, 4, memoryview(exact.build(made, 8, 4, rows))) == rows
        with pytest.raises(TableError, match="is full"):
            exact.build(made, 8, 4, {**rows, b"\xff" * 8: bytes(4)})


def test_prefixes_come_back_whole() -> None:
    """Nested ones too; so a change of one keeps all others."""
    entries = (("0.0.0.0/0", 1), ("10.0.0.0/8", 2), ("10.0.0.0/9", 3), ("::/0", 4), ("2001:db8::1/128", 5), ("2001:db8::/127", 6))
    made = chosen(table("prefix", entries=entries), "direct")
    rows = rows_of(made)
    assert len(rows) == 6 and prefix.read(made, 4, memoryview(prefix.build(made, 4, rows))) == rows


def test_a_trie_holds_as_many_prefixes_as_it_says_however_they_lie() -> None:
    """Small tables have room for the worst: neighbours that differ in their last bit only."""
    nets = [f"10.{n}.{n}.{k}/32" for n in range(128) for k in (0, 1)]
    made = chosen(table("prefix", size=256), "direct")
    filled = chosen(table("prefix", size=256, entries=tuple((net, 0) for net in nets)), "direct")
    assert len(prefix.build(made, 4, rows_of(filled))) <= made.room


def test_rules_come_back_whole_and_find_their_place() -> None:
    """The index leads to each rule's terms, lists and value."""
    said = tuple(
        (str(10 * n), {"match": {"l4.dport": [n, f"{n + 100}-{n + 200}"]}, "value": n}) for n in random.Random(1).sample(range(1000), 300)
    )
    made = chosen(table("acl", key=PORTS, size=2048, entries=said), "direct")
    layout, rows = shape.acl_layout(made), acl_rows(made)
    half = memoryview(rules.build(layout, made.slots, rows))
    assert list(rules.rows(layout, 4, made.slots, half, rules.index(half)).values()) == rows
    assert {number: place[:2] for number, place in rules.index(half).items()} == {
        number: place[:2] for number, place in rules.places(layout, rows).items()
    }


@pytest.mark.parametrize(
    ("given", "backing"),
    [
        (table("exact", key="ip"), "direct"),
        (table("prefix", size=500_000), "direct"),
        (table("exact", key="flow", size=1 << 24), "kernel"),
        (table("connections", key="flow", filled_by="packets", when_full="evict", size=1 << 18), "direct"),
        (table("connections", key="flow", filled_by="packets", when_full="evict", size=1 << 24), "kernel"),
        (table("counter", value="u64", filled_by="packets", scope="cpu"), "direct"),
        (table("consistent_hash"), "direct"),
        (table("acl", key=PORTS), "direct"),
    ],
)
def test_auto_takes_direct_tables_where_they_fit(given: Table, backing: str) -> None:
    """Else a kernel map; `kernel` asks for that; `direct` says why it can't be. The map is no larger than what is promised."""
    made = chosen(given, "auto")
    assert made.backing == backing and chosen(given, "kernel") == given
    if backing == "kernel":
        with pytest.raises(TableError, match="can't be addressed directly: it would take more than 256 MiB"):
            chosen(given, "direct")
    else:
        assert kernel_maps(made)[0].value_size <= LARGEST and made.layout == layout_digest(made) != layout_digest(given)


def test_many_rules_get_a_large_part_with_room_and_few_do_not() -> None:
    """Up to 24 records are compared one by one, up to 51 have vectors of one word; a table never has more slots than its size."""
    few = tuple((str(n), {"match": {"l4.dport": [n]}, "value": n}) for n in range(24))
    assert chosen(table("acl", key=PORTS, size=16384, entries=few), "auto").slots == 0
    many = (*few, ("99", {"match": {"l4.dport": [99]}, "value": 99}))
    made = chosen(table("acl", key=PORTS, size=16384, entries=many), "auto")
    assert made.slots == 64 and made.room > 0
    more = tuple((str(n), {"match": {"l4.dport": [n]}, "value": n}) for n in range(52))
    assert chosen(table("acl", key=PORTS, size=16384, entries=more), "auto").slots == 1024
    assert chosen(table("acl", key=PORTS, size=64, entries=many), "auto").slots == 64


def test_a_rule_with_lists_takes_one_place_and_two_where_it_names_both_ip_versions() -> None:
    """However many combinations that is: 50 rules of 100 each, and one of nine million, are one word."""
    key = describe([MatchField("ip.src", "prefix", "mask", "ip"), MatchField("l4.dport", "port", "range", "l4")])
    nets = [f"10.0.{n >> 8}.{n & 255}" for n in range(3000)]
    said = [(str(n), {"match": {"ip.src": nets[:10], "l4.dport": list(range(n, n + 10))}, "value": n}) for n in range(50)]
    said.append(("99", {"match": {"ip.src": nets, "l4.dport": list(range(3000))}, "value": 99}))
    made = chosen(table("acl", key=key, size=1024, entries=tuple(said)), "auto")
    assert made.backing == "direct" and made.slots == rules.ONE_WORD
    said[-1][1]["match"]["ip.src"].append("2001:db8::1")
    assert chosen(table("acl", key=key, size=1024, entries=tuple(said)), "auto").slots == 1024


def test_a_field_that_has_no_dimension_keeps_the_rules_in_a_kernel_map() -> None:
    """One of 32 bits: no table of all its values."""
    key = describe([MatchField("m.hash", "u32", "exact")])
    many = tuple((str(n), {"match": {"m.hash": [n]}, "value": n}) for n in range(25))
    assert chosen(table("acl", key=key, size=64, entries=many), "auto").backing == "kernel"
    with pytest.raises(TableError, match="a field of 32 bits is matched"):
        chosen(table("acl", key=key, size=64, entries=many), "direct")


def test_tables_do_not_all_begin_in_the_same_set_of_the_cache() -> None:
    """Values that can be mapped begin on a page: 40 tables that all began there cost 453 ns, staggered 59."""
    places = [stagger(dataclasses.replace(table("counter"), name=f"a.b.t{n}")) for n in range(64)]
    assert len(set(places)) > 32 and all(place % 64 == 0 and place < 4096 for place in places)
