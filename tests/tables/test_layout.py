"""Which kernel map stands behind what a manifest says, and when two tables may share one."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ebpfnf.errors import TableError
from ebpfnf.model import Scope, Table
from ebpfnf.tables.layout import capacity, decode_key, encode_key, kernel_maps, layout_digest
from ebpfnf.tables.match import MatchField, describe
from ebpfnf.tables.text import bucket_labels, key_text, parse_key
from ebpfnf.tables.types import type_of

PORTS = describe([MatchField("l4.dport", "port", "range", "l4")])


def table(kind: str, **more: Any) -> Table:
    base = dict(key=None, value="u32", size=64, filled_by="operator", scope="host", when_full="", keep=False)
    return Table(name="edge-2.acl.rules", map="edge-2-acl-rules", kind=kind, **{**base, **more})


@pytest.mark.parametrize(
    ("given", "kind", "key_size", "value_size", "entries"),
    [
        (table("exact", key="be16"), "hash", 2, 4, 64),
        (table("exact", key="ip", filled_by="packets", when_full="evict"), "lru_hash", 16, 4, 64),
        (table("exact", key="ip", filled_by="packets", when_full="refuse"), "hash", 16, 4, 64),
        (table("connections", key="flow", filled_by="packets", when_full="evict"), "lru_hash", 40, 4, 64),
        (table("connections", key="flow", filled_by="packets", when_full="refuse"), "hash", 40, 4, 64),
        (table("prefix"), "lpm_trie", 24, 4, 64),
        (table("counter", value=[["a", "u64"], ["b", "u64"]], scope="cpu", filled_by="packets"), "percpu_array", 4, 16, 64),
        (table("counter", value="u64", filled_by="packets"), "array", 4, 8, 64),
        (table("histogram", value="u64", buckets=(1, 2), size=3, scope="cpu", filled_by="packets"), "percpu_array", 4, 8, 3),
        (table("acl", key=PORTS), "array_of_maps", 4, 4, 1),
        (table("consistent_hash"), "array_of_maps", 4, 4, 1),
    ],
)
def test_each_kind_has_its_map(given: Table, kind: str, key_size: int, value_size: int, entries: int) -> None:
    """The table of kinds, whole."""
    spec = kernel_maps(given)[0]
    assert (spec.kind, spec.key_size, spec.value_size, spec.max_entries) == (kind, key_size, value_size, entries)
    assert bool(spec.inner) == (kind == "array_of_maps") and bool(spec.flags) == (kind == "lpm_trie")


def test_only_what_packets_fill_and_is_kept_outlives_its_generation() -> None:
    """Its pin names the layout, so another layout is another map; statistics live as long as what they count."""
    kept = table("connections", key="flow", filled_by="packets", when_full="evict", keep=True)
    digest = layout_digest(kept)
    assert [(s.scope, s.pin) for s in kernel_maps(kept)] == [
        (Scope.STATE, f"edge-2-acl-rules-v{digest}"),
        (Scope.STATE, f"edge-2-acl-rules_stats-v{digest}"),
    ]
    for other in (dataclasses.replace(kept, keep=False), table("exact", key="ip")):
        assert {s.scope for s in kernel_maps(other)} == {Scope.GENERATION}
    assert len(kernel_maps(table("exact", key="ip"))) == 1


def test_a_digest_changes_with_all_that_changes_the_map_and_with_nothing_else() -> None:
    """Kept state of another meaning must never be read as this one's."""
    base = table("exact", key="ip", value=[["a", "u64"], ["b", "u64"]], filled_by="packets", when_full="evict", keep=True)
    others = [
        {"key": "mac"}, {"value": [["b", "u64"], ["a", "u64"]]}, {"size": 65}, {"when_full": "refuse"}, {"kind": "connections"},
        {"value": [["a", "u64"]]}, {"scope": "cpu"}, {"buckets": (1,)},
    ]  # fmt: skip
    digests = {layout_digest(dataclasses.replace(base, **change)) for change in others}
    assert len(digests) == len(others) and layout_digest(base) not in digests
    assert layout_digest(dataclasses.replace(base, name="other.x.y", entries=(("1", 2),))) == layout_digest(base)
    assert layout_digest(dataclasses.replace(base, value={"a": "u64", "b": "u64"})) != ""


@pytest.mark.parametrize("count", [0, 1, 48, 49, 200, 1000])
def test_an_acl_has_room_for_its_records_and_some_more(count: int) -> None:
    """A power of two, but never above the size that the manifest gives."""
    rules = tuple((str(n), {"match": {"l4.dport": [n]}}) for n in range(1, count + 1))
    found = capacity(table("acl", key=PORTS, size=1024, entries=rules))
    assert found >= max(64, min(1024, count + 16)) and found & (found - 1) == 0 and found <= 1024


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (table("acl", key=PORTS, entries=(("1", {"match": {"l4.dport": list(range(65))}}),)), "1 rules became 65 records, it holds 64"),
        (table("acl", key=PORTS, size=20000), "size 20000, at most 16384 records"),
        (table("acl", key=PORTS, entries=(("1", {"match": {"l4.dport": ["x"]}}),)), "rule 1: 'l4.dport': wanted a port"),
        (table("consistent_hash", size=5000), "size 5000, at most 4096 entries"),
        (table("counter", value="u32"), "a counter counts in u64"),
        (table("histogram", value="u64", buckets=(2, 1)), "1 to 64 rising upper bounds"),
        (table("exact", key="zebra"), "its key: wanted a type: u8"),
        (table("exact", key="ip", value=[["a", "zebra"]]), "its value: wanted a type: u8"),
        (table("exact", key="ip", size=0), "size from 1 to"),
        (table("meter"), "kind 'meter' is none of exact"),
    ],
)
def test_what_can_not_be_is_refused_with_the_tables_name(given: Table, words: str) -> None:
    """And with what was wanted."""
    with pytest.raises(TableError) as caught:
        kernel_maps(given)
    assert "table 'edge-2.acl.rules'" in str(caught.value) and words in str(caught.value)


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "::1/128", "::/96"])
def test_prefix_keys_go_to_bits_and_back(text: str) -> None:
    """The family stands first, so that no IPv6 prefix covers ::ffff:0:0/96."""
    assert decode_key(table("prefix"), encode_key(table("prefix"), text)) == text


def test_keys_are_text_and_back() -> None:
    """Scalars in their spelling, records in JSON, buckets by their bounds."""
    record = type_of([["port", "be16"], ["ip", "ip"]])
    assert key_text(record, {"ip": "::1", "port": 80}) == '{"port":80,"ip":"::1"}'
    assert parse_key(record, '{"port":80,"ip":"::1"}') == parse_key(record, {"port": "80", "ip": "::1"}) == {"port": 80, "ip": "::1"}
    assert key_text(type_of("bool"), True) == "true" and parse_key(type_of("bool"), "true") is True
    assert bucket_labels((0, 1, 64)) == ["0", "1", "2-64", "65-"]
    for wrong in ("{", "[]", '{"port":80}', "80"):
        with pytest.raises(ValueError, match="port"):
            parse_key(record, wrong)
