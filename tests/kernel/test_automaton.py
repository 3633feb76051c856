"""An automaton in the kernel: what an operator reads is what he wrote, and what he changes packets meet at once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpfnf import packets, pipeline, spec
from ebpfnf.agent import tables
from ebpfnf.agent.private import PrivateCopy
from ebpfnf.errors import TableError
from tests.models.sqli_check import Grammar

pytestmark = pytest.mark.kernel
CHAIN = """
ebpfnf: 1
deployment: words
ports: {a: {interface: eth0}}
vnfs: {waf: {vnf: application-firewall, on_unsure: drop}}
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


PIECES = [
    b"\n", b"\r\n", b"\n\n", b"?", b"&", b"&&", b"||", b"%27", b"%", b"%0a", b"%2", b"'", b'"', b" ", b"+", b"=", b"*", b"*/*", b"/*",
    b"--", b"#", b"/*!50000", b"1", b"7", b" or ", b"and", b"'or", b"OR 1=1", b"select", b" sleep(", b"union", b"where 1", b"x",
    b"likewise", b"\x80", b"\x00", b"a" * 61, b"Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", b"1' or 1=1--",
    b"1;drop table users", b";exec xp_cmdshell", b"' and 'a'='a",
]  # fmt: skip


def test_what_the_sieve_lets_through_is_what_the_model_finds_nothing_in(firewall: PrivateCopy) -> None:
    """Lines of every length at every place, so that rows and attacks lie over the ends of pieces, blocks and turns of the loop."""
    r = random.Random(87)
    table, _ = firewall.table("waf.sqli.text")
    model = Grammar(str(line) for _, line in table.entries)
    fates = {"attack": "waf.sql_injection", "doubt": "waf.suspicious", "": "chain.in.out"}
    seen = set()
    for _ in range(400):
        payload = b"GET /" + b"".join(r.choices(PIECES, k=r.randint(0, 40)))[: r.randint(0, 400)]
        seen.add(rank := model.judge(payload))
        assert ended(firewall, "".join(f"\\x{byte:02x}" for byte in payload)) == fates[rank], payload
    assert seen == set(fates)
    for blank in range(140):  # one attack, pushed through
        assert ended(firewall, "GET / HTTP/1.1\\r\\n" + "x" * blank + "\\r\\n1 or 1=1") == "waf.sql_injection"
        assert ended(firewall, "GET /?" + "x" * blank + f"&q=1 {('or', '||', '&&')[blank % 3]} 1=1 HTTP/1.1\\r\\n") == "waf.sql_injection"
