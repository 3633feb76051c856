"""A bundle comes back as it was, has the same bytes each time, and a changed byte is noticed."""

from __future__ import annotations

import json
import zlib

import pytest

from ebpfnf import bundle
from ebpfnf.errors import AgentError
from ebpfnf.model import Bundle, ConstLayout, Counter, MapSpec, Port, Program, Scope, SlotLayout, Table


def example() -> Bundle:
    return Bundle(
        deployment="dc-edge",
        ports=(Port("wan", 1, "eth0"),),
        programs=(Program("seg_0", b"\x95" + bytes(7), ((3, "meta"),)),),
        maps=(
            MapSpec("meta", "array", 4, 256, 1, Scope.GENERATION, per_cpu_slots=True),
            MapSpec("const", "array", 4, 8, 1, frozen=b"\0" * 8),
        ),
        tables=(
            Table(
                "edge.acl.rules", "t0", "acl", ["ip.src"], {"class": "u16"}, 64, "operator", "host", "", False, entries=(("0", {"a": 1}),)
            ),
        ),
        counters=(Counter(0, "edge.acl_deny", "drop"),),
        slot=SlotLayout(256, 0, 24, 32),
        const=ConstLayout(8, 0, 4, 0, 0),
        stages=({"id": "edge.acl", "config": {"default": "deny"}},),
        positions=(),
        links=(),
        chains=(),
    )


def test_comes_back_as_it_was() -> None:
    made = bundle.sealed(example())
    assert bundle.decode(bundle.encode(example())).programs == made.programs
    assert bundle.to_json(bundle.decode(bundle.encode(example()))) == bundle.to_json(made)


def test_same_bytes_each_time() -> None:
    assert bundle.encode(example()) == bundle.encode(example())


@pytest.mark.parametrize("cut", [0, 5, 20, -1])
def test_no_bundle_is_said_so(cut: int) -> None:
    with pytest.raises(AgentError):
        bundle.decode(bundle.encode(example())[:cut])


def test_changed_contents_are_noticed() -> None:
    data = bundle.encode(example())
    head = data.index(b"\n") + 1
    text = zlib.decompress(data[head:]).replace(b'"eth0"', b'"eth1"')
    with pytest.raises(AgentError, match="digest"):
        bundle.decode(data[:head] + zlib.compress(text))


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"null", b"[]", b"1", b'{"stages": [null]}'])
def test_json_that_is_no_bundle_is_said_so_however_deep(text: bytes) -> None:
    with pytest.raises(AgentError, match="broken bundle"):
        bundle.decode(bundle.MAGIC + zlib.compress(text))


@pytest.mark.parametrize("key", ["stages", "positions", "links", "chains"])
def test_what_should_be_a_mapping_and_is_none_is_said_so(key: str) -> None:
    """Sealed again, so that nothing but its form speaks against it."""
    for content in (None, 5, "x", [1]):
        data = {**bundle.to_json(bundle.sealed(example())), key: [content]}
        with pytest.raises(AgentError, match="broken bundle: dict wanted"):
            bundle.decode(bundle.MAGIC + zlib.compress(json.dumps(data).encode()))
