"""What a deploy takes over: state that packets made, onto other maps too, and operator's tables as they lie there."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from ebpfnf import pipeline
from ebpfnf.agent import carry, direct, tables
from ebpfnf.agent.observe import open_table, read_live
from ebpfnf.kernel import maps
from ebpfnf.kernel.maps import Map
from ebpfnf.model import Bundle, Table
from ebpfnf.tables.direct.choose import chosen
from ebpfnf.tables.layout import kernel_map
from tests.faults.bench import Bench

pytestmark = pytest.mark.kernel

CHAIN = """
ebpfnf: 1
deployment: NAME
tables: MODE
ports:
  wan: {interface: wan0, on_fault: drop}
  lan: {interface: lan0, on_fault: drop}
vnfs:
  stats: {vnf: monitor, subnets: [192.0.2.0/24]}
  lb: {vnf: load-balancer, vips: [198.51.100.7], port: PORT, backends: [{v4: 10.1.0.11, port: 8080}, {v4: 10.1.0.12, port: 8080}]}
chains:
  in: {on: wan, match: {ip.dst: 198.51.100.7}, path: [stats, lb], then: pass}
"""
SESSIONS = "lb.nat.sessions"


def built(bench: Bench, folder: Path, mode: str, port: int = 80) -> Bundle:
    file = folder / "chain.yaml"
    file.write_text(CHAIN.replace("NAME", bench.name).replace("MODE", mode).replace("PORT", str(port)))
    return pipeline.build_file(file)


def dumped(bench: Bench, table: str) -> dict[str, Any]:
    return dict(bench.run("table dump", {"table": table}))


def test_connections_come_along_when_their_table_stands_on_another_map(bench: Bench, tmp_path: Path) -> None:
    """To kernel maps and back: those that are there, not those of an earlier generation; the books are kept, and the plan says it."""
    kernel, direct_ = (built(bench, tmp_path, mode) for mode in ("kernel", "direct"))
    bench.apply(direct_)
    value = {"last_seen": 7, "addr": "10.1.0.11", "port": 8080}
    for number in range(50):
        bench.run("table set", {"table": SESSIONS, "key": f"tcp 192.0.2.9:{number} > 198.51.100.7:80", "value": value})
    before = dumped(bench, SESSIONS)
    assert len(before) == 50
    assert any(f"carries over stats.sizes.sizes, stats.subnets.counts, {SESSIONS}" in done for done in bench.apply(kernel)["actions"])
    assert dumped(bench, SESSIONS) == before
    gone, new = next(iter(before)), "udp 192.0.2.1:5 > 192.0.2.2:6"
    bench.run("table del", {"table": SESSIONS, "key": gone})
    bench.run("table set", {"table": SESSIONS, "key": new, "value": value})
    bench.apply(direct_)  # its map is there still, for a rollback
    wanted = {key: content for key, content in before.items() if key != gone} | {new: value}
    assert dumped(bench, SESSIONS) == wanted
    (told,) = (table for table in bench.status()["tables"] if table["name"] == SESSIONS)
    assert (told["present"], told["created"], told["evicted"], told["full"]) == (50, 50, 0, 0)


def test_a_table_that_shall_be_what_it_is_is_taken_as_it_lies(bench: Bench, tmp_path: Path) -> None:
    """The state word counts changes: it comes along with what was changed live where that is kept, and not where it isn't."""
    name = "stats.subnets.subnets"

    def state() -> int:
        with bench.here() as at:
            found = read_live(at)
            assert found
            table = next(t for t in found.tables if t.name == name)
            with open_table(at, found, table) as live:
                return direct.Area(table, live).state()

    bench.apply(built(bench, tmp_path, "direct"))
    first, said = state(), dumped(bench, name)
    for number in range(3):
        bench.run("table set", {"table": name, "key": f"10.{number}.0.0/16", "value": number})
    changed, there = state(), dumped(bench, name)
    assert changed != first and len(there) == len(said) + 3
    bench.apply(built(bench, tmp_path, "direct", 81), keep_entries=True)
    assert state() == changed and dumped(bench, name) == there
    bench.apply(built(bench, tmp_path, "direct", 82), discard_entries=True)
    assert state() == first and dumped(bench, name) == said
    bench.run("table set", {"table": name, "key": "10.0.0.0/16", "value": 1})
    bench.apply(built(bench, tmp_path, "kernel", 82), keep_entries=True)  # another form: by its entries
    assert dumped(bench, name) == said | {"10.0.0.0/16": 1}


@pytest.mark.parametrize("modes", [("direct", "kernel"), ("kernel", "direct")])
def test_what_was_counted_goes_on(modes: tuple[str, str]) -> None:
    """The sum over the CPUs, on the first of them."""
    base = Table("a.b.c", "c", "counter", None, [["packets", "u64"], ["bytes", "u64"]], 4, "packets", "host", "", True)
    one, two = (chosen(base, mode) for mode in modes)
    sums = [{"packets": n, "bytes": 1 << 40 + n} for n in range(4)]
    with made(one) as old, made(two) as new:
        carry._begin(one, old, sums)
        carry._begin(two, new, tables.sums(one, old))
        assert tables.sums(two, new) == sums
        assert new.lookup(struct.pack("=I", 0)) is not None


def made(table: Table) -> Map:
    spec = kernel_map(table)
    return Map(maps.create(spec.kind, spec.key_size, spec.value_size, spec.max_entries, spec.flags, "test"))
