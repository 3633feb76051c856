"""An automaton in the kernel: what an operator reads is what he wrote, and what he changes packets meet at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpfnf import packets, pipeline, spec
from ebpfnf.agent import tables
from ebpfnf.agent.private import PrivateCopy
from ebpfnf.errors import TableError

pytestmark = pytest.mark.kernel
CHAIN = """
ebpfnf: 1
deployment: words
ports: {a: {interface: eth0}}
vnfs: {waf: {vnf: application-firewall}}
chains: {in: {on: a, match: {}, path: [waf], then: pass}}
"""
ATTACK = "1%27%20OR%201%3D1--"


@pytest.fixture
def firewall(tmp_path: Path) -> Iterator[PrivateCopy]:
    file = tmp_path / "chain.yaml"
    file.write_text(CHAIN)
    with PrivateCopy(pipeline.build(spec.load(file))) as copy:
        yield copy


def ended(firewall: PrivateCopy, payload: str) -> str:
    frame = packets.build(f"tcp 192.0.2.9:4000 > 198.51.100.7:80 flags PA payload '{payload}'")
    return firewall.run(frame, "a", 10**9).counter.name


def request(value: str) -> str:
    return f"GET /?id={value} HTTP/1.1\\r\\n\\r\\n"


def test_lines_are_read_changed_and_taken_out_live(firewall: PrivateCopy) -> None:
    table, live = firewall.table("waf.sqli.text")
    there = dict(tables.dump(table, live))
    assert there == dict(table.entries) and tables.diff(table, live, table.entries) == ""
    assert ended(firewall, request("peel+an+apple")) == "chain.in.out"

    tables.set(table, live, "200", "attack:  word  word  over")
    assert ended(firewall, request("peel+an+apple")) == "waf.sql_injection"
    assert tables.get(table, live, "200") == "attack: word word over"
    assert tables.diff(table, live, table.entries) == "'200' is live only"

    assert tables.delete(table, live, "200") and not tables.delete(table, live, "200")
    assert ended(firewall, request("peel+an+apple")) == "chain.in.out"
    assert ended(firewall, request(ATTACK)) == "waf.sql_injection"


def test_a_wrong_line_leaves_the_live_machine_alone(firewall: PrivateCopy) -> None:
    table, live = firewall.table("waf.sqli.text")
    for line in ("attack: nonsense", "words word: b4d", "no line"):
        with pytest.raises(TableError, match=r"waf\.sqli\.text"):
            tables.set(table, live, "200", line)
    assert ended(firewall, request(ATTACK)) == "waf.sql_injection"


@pytest.mark.parametrize("size", [1459, 1460, 2800])
def test_a_segment_is_looked_at_to_its_end(firewall: PrivateCopy, size: int) -> None:
    head, tail = "POST / HTTP/1.1\\r\\n\\r\\n", "&q=1 or 1=1"
    filled = size - len("POST / HTTP/1.1....") - len(tail)
    assert ended(firewall, head + "x" * filled + tail) == "waf.sql_injection"
