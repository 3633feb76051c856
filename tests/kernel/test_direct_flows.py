"""Direct tables of connections: CPUs that write one table at once, and a person beside them."""

from __future__ import annotations

import os
import struct
import threading
from typing import Any

import pytest

from ebpfnf.agent import sets
from ebpfnf.agent import tables as agent
from ebpfnf.kernel import atomic, maps, programs
from ebpfnf.kernel.atomic import compare_and_swap
from ebpfnf.kernel.maps import Map
from ebpfnf.tables.direct.sets import BUSY, BY_HAND, VALID
from tests.kernel.table_rig import Record, Rig, table, traffic

pytestmark = pytest.mark.kernel

FLOWS = """
PROGRAM(touch) {
	pkt->flow.sport = in->argument++;
	in->out[0] = s_flows_touch(&pkt->flow, &(struct s_flows_value){ .last_seen = 7, .hits = 3 });
}
PROGRAM(forget) { pkt->flow.sport = in->argument++; in->out[0] = s_flows_delete(&pkt->flow); }
"""
FLOW = [["last_seen", "u64"], ["hits", "u16"]]


def flows(size: int, when_full: str) -> Any:
    return table("flows", "connections", key="flow", value=FLOW, size=size, filled_by="packets", when_full=when_full, mode="direct")


def on_every_cpu(rig: Rig, names: tuple[str, ...], repeat: int) -> None:
    """Each CPU runs all programs on the same keys at once."""
    ready = threading.Barrier(len(os.sched_getaffinity(0)))

    def work(cpu: int) -> None:
        os.sched_setaffinity(0, {cpu})
        ready.wait()
        for name in names:
            programs.Runner(rig.fds[name]).run(bytes(40) + Record().encode(), repeat)

    threads = [threading.Thread(target=work, args=(cpu,)) for cpu in os.sched_getaffinity(0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("when_full", ["evict", "refuse"])
def test_cpus_that_make_the_same_entries_at_once_make_each_once(when_full: str) -> None:
    """No key stands twice, and the books are kept: created = present + deleted + evicted."""
    given = flows(20_000, when_full)
    with Rig([given], FLOWS, ["touch", "forget"]) as rig:
        live, stats = rig.maps["flows"], rig.stats["flows"]
        for _ in range(10):
            on_every_cpu(rig, ("touch",), 10_000)
            assert sets.present(given, live) == len(dict(sets.rows(given, live))) == 10_000
            on_every_cpu(rig, ("forget",), 10_000)
            got = agent.statistics(given, live, stats)
            assert (got["present"], got["evicted"], got["full"]) == (0, 0, 0) and got["created"] == got["deleted"]


def test_a_table_holds_what_its_size_says_and_then_keeps_the_books() -> None:
    """`size` entries find a place, but for one in thousands; each further one is refused, or takes the place of one; all is counted."""
    for when_full in ("refuse", "evict"):
        given = flows(20_000, when_full)
        with Rig([given], FLOWS, ["touch", "forget"]) as rig:
            live, stats = rig.maps["flows"], rig.stats["flows"]
            rig.run(program="touch", repeat=20_000)
            got = agent.statistics(given, live, stats)
            assert got["full"] + got["evicted"] < 10 and got["present"] == 20_000 - got["full"] - got["evicted"]  # the hash is drawn anew
            rig.run(program="touch", argument=20_000, repeat=40_000)
            got = agent.statistics(given, live, stats)
            assert got["created"] + got["full"] == 60_000 and got["created"] == got["present"] + got["evicted"]
            assert (got["full"] > 0, got["evicted"] > 0) == ((True, False) if when_full == "refuse" else (False, True))


def test_the_entry_that_was_found_longest_ago_goes() -> None:
    """Where both sets are full: times are written here, since the kernel's clock can't be."""
    given = flows(1, "evict")
    with Rig([given], FLOWS, ["touch", "forget"]) as rig:
        live = rig.maps["flows"]
        rig.run(program="touch", repeat=1000)
        before = dict(sets.rows(given, live))
        words = sets._Sets(given, live).states
        for slot, word in enumerate(words):
            words[slot] = word - (slot % 8 << 16) & (1 << 64) - 1 if word >> 16 & 0xFFFF > 8 else word
        oldest = {word for slot, word in enumerate(words) if slot % 8 == 7}
        rig.run(program="touch", argument=5000)
        gone = set(before) - set(dict(sets.rows(given, live)))
        assert len(gone) == 1 and len(oldest - {word for slot, word in enumerate(words) if slot % 8 == 7}) == 1


def test_a_person_changes_entries_while_packets_do() -> None:
    """The agent claims entries as a CPU does; what it adds is found, what it takes away is gone, the books are kept."""
    given = flows(4096, "evict")
    with Rig([given], FLOWS, ["touch", "forget"]) as rig:
        live, stats = rig.maps["flows"], rig.stats["flows"]
        with traffic(lambda: rig.run(program="touch", repeat=3000)[0]) as seen:
            for number in range(30):
                key = f"udp 192.0.2.9:{number} > 192.0.2.8:2"
                agent.set(given, live, key, {"last_seen": number, "hits": 1}, stats)
                assert agent.get(given, live, key) == {"last_seen": number, "hits": 1}
                if number % 2:
                    assert agent.delete(given, live, key, stats) and agent.get(given, live, key) is None
        got = agent.statistics(given, live, stats)
        assert seen == {0} and got == {"created": 3030, "full": 0, "deleted": 15, "present": 3015, "evicted": 0}


def test_what_an_agent_that_was_killed_had_claimed_is_free_again() -> None:
    """Its claim bears a mark; the next writer, who holds the lock, takes it back."""
    given = flows(4096, "evict")
    with Rig([given], FLOWS, ["touch", "forget"]) as rig:
        live = rig.maps["flows"]
        rig.run(program="touch")
        area = sets._Sets(given, live)
        (slot,) = (slot for slot, state in enumerate(area.states) if state)
        assert area.swap((slot + 5000) % len(area.states), 0, 5 << 32 | BUSY | BY_HAND)  # in another piece than what packets made
        agent.set(given, live, "udp 192.0.2.9:1 > 192.0.2.8:2", {"last_seen": 1, "hits": 1})
        assert [state & 7 for state in area.states if state] == [VALID, VALID]
        assert all(((atomic.jiffies() >> 6) - (state >> 16)) & 0xFFFF < 100 for state in area.states if state)  # by the clock of packets


def test_compare_and_swap_swaps_only_what_it_expects() -> None:
    """All 64 bits count."""
    with Map(maps.create("array", 4, 16, 1, maps.MMAPABLE)) as made:
        made.update(bytes(4), struct.pack("=QQ", 1, 1 << 63 | 5))
        assert not compare_and_swap(made.fd, 8, 5, 7)
        assert compare_and_swap(made.fd, 8, 1 << 63 | 5, 1 << 62)
        assert made.lookup(bytes(4)) == struct.pack("=QQ", 1, 1 << 62)
