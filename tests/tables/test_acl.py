"""Rules as records: what lists become, what is refused, and that a blob gives back what went in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ebpfnf
from ebpfnf.errors import TableError
from ebpfnf.tables import acl
from ebpfnf.tables.match import HAVE, MatchField, bits_of, describe, match_fields, text_of
from ebpfnf.tables.types import type_of

FIELDS = (
    MatchField("eth.src", "mac", "mask", "eth"),
    MatchField("eth.type", "u16", "exact", "eth"),
    MatchField("ip.version", "u8", "exact", "ip"),
    MatchField("ip.src", "prefix", "mask", "ip"),
    MatchField("ip.dst", "prefix", "mask", "ip"),
    MatchField("ip.proto", "proto", "exact", "ip"),
    MatchField("l4.dport", "port", "range", "l4"),
    MatchField("tcp.flags", "u8", "mask", "tcp"),
)
BY_NAME = {field.name: field for field in FIELDS}
VALUE = type_of([["action", "enum[allow,deny]"], ["class", "u16"]])

_VALUES = {
    "eth.src": st.sampled_from(["02:00:00:00:00:01", "02:00:00:00:00:00/24", "00:00:00:00:00:00/0"]),
    "eth.type": st.sampled_from(["ip", "ipv6", "arp", 0x88B5]),
    "ip.version": st.sampled_from([4, 6]),
    "ip.src": st.sampled_from(["192.0.2.0/24", "192.0.2.9/32", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1/128"]),
    "ip.dst": st.sampled_from(["198.51.100.7/32", "2001:db8::7/128", "::/0"]),
    "ip.proto": st.sampled_from(["tcp", "udp", "icmpv6", "255"]),
    "l4.dport": st.sampled_from([0, 80, "1024-65535", "0-65535"]),
    "tcp.flags": st.sampled_from(["syn,!ack", "!rst", "fin,syn,rst,psh,ack,urg,ece,cwr"]),
}


@st.composite
def rules(draw: st.DrawFn) -> acl.Rule:
    names = draw(st.lists(st.sampled_from(list(_VALUES)), unique=True, max_size=4))
    named = [field.name for field in FIELDS if field.name in names]
    match = {name: draw(st.lists(_VALUES[name], min_size=1, max_size=3, unique=True)) for name in named}
    return acl.Rule(match, draw(st.sampled_from([0, 0x100])), draw(st.sampled_from([0, 0x80])))


LAYOUT = acl.layout_of(FIELDS)


def row(match: dict[str, list[Any]]) -> acl.Row:
    return acl.compile_rule(LAYOUT, 1, acl.Rule(match))


def records(match: dict[str, list[Any]]) -> list[acl.Record]:
    """As a blob has them."""
    made = acl.combinations(LAYOUT, row(match))
    blob = acl.join(LAYOUT, type_of("u32"), made, [acl.make_row(LAYOUT, type_of("u32"), 1, acl.Rule(match), 0)])
    size = LAYOUT.record_size
    return [acl.decode_record(LAYOUT, blob[8 + size * k : 8 + size * (k + 1)])[1] for k in range(made)]


@settings(max_examples=300, deadline=None)
@given(st.lists(rules(), max_size=8))
def test_rows_come_back_from_a_blob_and_from_words(given_rules: list[acl.Rule]) -> None:
    """So `table set` on one rule leaves all others as they were, and the text in a dump means what the program does."""
    layout = LAYOUT
    made = []
    for number, rule in enumerate(given_rules):
        try:
            made.append(acl.make_row(layout, VALUE, number * 7, rule, {"action": "deny", "class": number}))
        except TableError:  # IPv4 with IPv6
            continue
    rows = acl.split(layout, VALUE, 1024, acl.join(layout, VALUE, 1024, made))
    assert rows == made
    for before in made:
        rule, value = acl.read_row(layout, VALUE, before)
        assert acl.make_row(layout, VALUE, before.number, rule, value) == before
        assert acl.unpack_row(layout, before.number, memoryview(acl.pack_row(before)).cast("Q"), before.value) == before


def test_lists_combine_and_families_do_not_mix() -> None:
    """Two families in each of two lists make two records, not four, and two terms; what no packet can be of a list is left out."""
    both = {"ip.src": ["192.0.2.0/24", "2001:db8::/32"], "ip.dst": ["2001:db8::7", "198.51.100.7"], "l4.dport": [80, 443]}
    assert len(records(both)) == 4 and len(acl.terms(LAYOUT, row(both))) == 2
    assert len(acl.terms(LAYOUT, row({"l4.dport": [80, 443], "ip.proto": ["tcp", "udp"]}))) == 1
    assert row({"ip.version": [4], "ip.src": ["2001:db8::/32", "192.0.2.0/24"]}) == row({"ip.version": [4], "ip.src": ["192.0.2.0/24"]})


def test_a_term_of_one_ip_version_names_nothing_of_the_other() -> None:
    """Else ::/0 in a list would take IPv4 addresses, which are IPv6 addresses here."""
    for term, version in zip(acl.terms(LAYOUT, row({"ip.src": ["::/0", "192.0.2.0/24", "2001:db8::/32"]})), (6, 4), strict=True):
        asked = dict(zip((part.name for part in LAYOUT.parts), term, strict=True))
        assert asked["ip.version"] == (((version, 255),),) and len(asked["ip.src"]) == (2 if version == 6 else 1)


def test_naming_a_field_wants_its_header() -> None:
    """A rule over ports holds for no fragment, one over flags for TCP only."""
    layout = acl.layout_of(FIELDS)
    have = next(part for part in layout.parts if part.name == "have")
    for match, bits in (
        ({}, 0), ({"eth.type": ["arp"]}, HAVE["eth"]), ({"ip.src": ["::/0"]}, HAVE["ip"]), ({"l4.dport": ["0-65535"]}, HAVE["l4"]),
        ({"tcp.flags": ["syn"], "ip.proto": ["tcp"]}, HAVE["tcp"] | HAVE["ip"]),
    ):  # fmt: skip
        (record,) = records(match)
        assert record.words[have.word][0] >> have.shift & 0xFFFF == bits
        assert record.words[have.word][1] >> have.shift & 0xFFFF == bits


def test_presence_bits_are_those_of_the_c_headers() -> None:
    """The numbers stand in types.h and in match.py: this keeps them one."""
    text = (Path(ebpfnf.__file__).parent / "progs/framework/types.h").read_text()
    assert {name.lower(): int(number) for name, number in re.findall(r"\bHAVE_(\w+) = (\d+)", text)} == HAVE


@pytest.mark.parametrize(
    ("name", "value", "normal"),
    [
        ("ip.src", "192.0.2.1", "192.0.2.1/32"), ("ip.src", "::/0", "::/0"), ("ip.src", "0.0.0.0/0", "0.0.0.0/0"),
        ("eth.src", "02:00:00:00:00:AA", "02:00:00:00:00:aa"), ("eth.src", "02:00:00:ff:00:00/24", "02:00:00:00:00:00/24"),
        ("eth.type", 0x0800, "ip"), ("eth.type", "arp", "arp"), ("eth.type", 0x1234, 0x1234),
        ("ip.proto", 6, "tcp"), ("ip.proto", "200", "200"),
        ("l4.dport", "80", 80), ("l4.dport", "80-80", 80), ("l4.dport", "1-2", "1-2"), ("tcp.flags", "!ack,  syn", "syn,!ack"),
        ("tcp.flags", 2, "!fin,syn,!rst,!psh,!ack,!urg,!ece,!cwr"),
    ],
)  # fmt: skip
def test_values_have_one_normal_spelling(name: str, value: Any, normal: Any) -> None:
    """Which a dump prints and a diff compares."""
    assert text_of(BY_NAME[name], bits_of(BY_NAME[name], value)) == normal


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ip.src", "192.0.2.1/24"), ("ip.src", "::ffff:192.0.2.0/120"), ("ip.src", 5), ("eth.src", "02:00:00:00:00"), ("eth.type", "ipx"),
        ("eth.src", "02:00:00:00:00:00/49"), ("eth.type", 65536), ("ip.version", 5), ("ip.proto", "tpc"), ("l4.dport", "65536"),
        ("l4.dport", "9-8"), ("l4.dport", True), ("l4.dport", "-1"), ("l4.dport", "0x50"), ("tcp.flags", "syn,syn"), ("tcp.flags", ""),
        ("tcp.flags", "synn"), ("tcp.flags", 256), ("ip.src", "192.0.2.0/24\n"), ("l4.dport", "80\n"),
    ],
)  # fmt: skip
def test_what_is_no_value_of_a_field_is_refused(name: str, value: Any) -> None:
    """Each with a word on what was wanted."""
    with pytest.raises(TableError, match=f"rule 1: '{re.escape(name)}': wanted "):
        records({name: [value]})


def test_a_rule_that_nothing_can_match_or_that_explodes_is_refused() -> None:
    """Before memory is filled."""
    with pytest.raises(TableError, match="rule 1 can't match"):
        records({"ip.version": [6], "ip.dst": ["198.51.100.7"]})
    many = row({"l4.dport": list(range(3000)), "ip.src": [f"10.0.{i >> 8}.{i & 255}" for i in range(3000)]})
    with pytest.raises(TableError, match="the rules became 9000000 records, the table holds 4096"):
        acl.join(LAYOUT, type_of("u32"), 4096, [many])


def test_the_key_in_a_bundle_says_all_that_the_agent_needs() -> None:
    """JSON and back; what is no key is refused in words."""
    assert match_fields(describe(FIELDS)) == FIELDS
    for wrong in (["ip.src"], [{"name": "ip.src"}], None, [{"name": "x", "type": "zebra", "match": "exact", "needs": ""}]):
        with pytest.raises(TableError):
            match_fields(wrong)
