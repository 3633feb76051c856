"""How an operator's parameter fills a table (docs/reference/body.md), and that only integers and identifiers go to the template."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ebpfnf.errors import TableError
from ebpfnf.model import Fields, HeaderField, MetadataField, Mnf, Stage, Table, TableSpec
from ebpfnf.tables.build import build
from ebpfnf.tables.layout import kernel_maps
from ebpfnf.tables.view import template_view

FIELDS = Fields(
    header={
        f.name: f
        for f in (
            HeaderField("ip.src", "struct ip_addr", "prefix", "mask", "ip"),
            HeaderField("l4.dport", "be16", "port", "range", "l4"),
            HeaderField("ip.ttl", "u8", "u8", "no", "ip"),
        )
    },
    metadata={"in_port": MetadataField("in_port", "u8", True)},
)
MNF = Mnf("m", "", "", frozenset(), frozenset(), {}, (), {}, (), (), {}, {}, {})


def made(kind: str, items: Any, **more: Any) -> Table:
    base: dict[str, Any] = dict(key=None, value="u32", size=64, filled_by="operator", entries="items")
    return build(TableSpec(name="t", kind=kind, **{**base, **more}), Stage("edge-2.m", "edge-2", "m", MNF, {"items": items}), FIELDS)


def test_scalars_are_keys_and_their_place_from_0_is_the_value() -> None:
    """subnets, vips."""
    assert made("prefix", ["10.0.0.0/8", "::/0"]).entries == (("10.0.0.0/8", 0), ("::/0", 1))
    assert made("exact", ["192.0.2.1", "2001:db8::1"], key="ip").entries == (("192.0.2.1", 0), ("2001:db8::1", 1))


def test_rules_are_numbered_in_steps_and_carry_their_value() -> None:
    """So that one can be put between two others; fields that the table's value lacks are left out."""
    rules = [{"action": "deny", "match": {"ip.src": ["10.0.0.0/8"]}, "class": 0}, {"action": "allow", "match": {}, "class": 3}]
    table = made("acl", rules, key=("ip.src", "l4.dport", "m.in_port"), value={"action": "enum[allow,deny]"})
    assert table.entries == (("10", {"match": {"ip.src": ["10.0.0.0/8"]}, "action": "deny"}), ("20", {"match": {}, "action": "allow"}))
    assert [field["name"] for field in table.key] == ["ip.src", "l4.dport", "m.in_port"]
    assert table.value == [["action", "enum[allow,deny]"]]


def test_records_fill_fields_by_name_and_index_counts_from_1() -> None:
    """What a backend lacks is the zero address; a keyed table takes its key's fields from the record too."""
    items = [{"v4": "10.1.0.1", "port": 80}, {"v4": "10.1.0.2", "v6": "2001:db8::2", "port": 81}]
    value = {"index": "u16", "v4": "ip", "v6": "ip", "port": "port"}
    assert made("consistent_hash", items, value=value).entries == (
        ("1", {"index": 1, "v4": "10.1.0.1", "v6": "::", "port": 80}),
        ("2", {"index": 2, "v4": "10.1.0.2", "v6": "2001:db8::2", "port": 81}),
    )
    assert made("exact", items, key={"v4": "ip"}, value={"index": "u16", "port": "port"}).entries[1] == (
        '{"v4":"10.1.0.2"}',
        {"index": 2, "port": 81},
    )


def test_what_does_not_fit_is_refused_with_the_tables_name() -> None:
    """Too many, twice the same, no field."""
    with pytest.raises(TableError, match=r"table 'edge-2\.m\.t': 3 entries, it holds 2"):
        made("exact", [1, 2, 3], key="be16", size=2)
    with pytest.raises(TableError, match="'1' stands twice"):
        made("exact", [1, 1], key="be16")
    with pytest.raises(TableError, match=r"'ip\.ttl' can't be matched: one of ip\.src, l4\.dport"):
        made("acl", [], key=("ip.ttl",))
    with pytest.raises(TableError, match=r"'m\.score' can't be matched"):
        made("acl", [], key=("m.score",))


def test_a_view_holds_integers_and_identifiers_only() -> None:
    """Whatever the operator's entries say: none of it is in there."""
    rules = [{"action": "deny", "match": {"ip.src": ["10.0.0.0/8"]}, "class": 0}]
    for table in (
        made("acl", rules, key=("ip.src", "m.in_port"), value={"action": "enum[allow,deny]", "class": "u16"}),
        made("exact", [], key={"a": "ip", "b": "bytes[3]"}, value={"c": "flow"}),
        made("consistent_hash", []),
    ):
        view = template_view(table, "s_edge_2__m", {spec.name: 7 for spec in kernel_maps(table)})
        for leaf in leaves(dataclasses.asdict(view)):
            assert type(leaf) is int or (isinstance(leaf, str) and (not leaf or leaf.isidentifier()))


def test_what_bodies_call_things_is_listed() -> None:
    """The generator makes these names stand for the prefixed ones while it includes the body."""
    table = made("acl", [], key=("ip.src",), value={"action": "enum[allow,deny]"})
    view = template_view(table, "s", {table.map: 1})
    assert view.aliases == ("t_key", "t_value", "t_match", "ACTION_ALLOW", "ACTION_DENY")


def leaves(value: Any) -> Any:
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value
