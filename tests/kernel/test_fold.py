"""Rules changed live among thousands: the large part is made anew beside the changes, and no change waits for that or is lost by it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ebpfnf.agent import direct, fold, journal
from ebpfnf.agent import tables as agent
from ebpfnf.tables.direct.rules import FOLDED
from tests.kernel.table_rig import Record, Rig, table, traffic
from tests.kernel.test_direct_acl import MATCH, TUPLE, VALUE, entry

pytestmark = pytest.mark.kernel

NAME = "fold-test"
Rules = dict[int, Any]


@pytest.fixture(autouse=True)
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBPFNF_RUN", str(tmp_path))


@contextmanager
def thousand() -> Iterator[tuple[Rig, Any, Rules]]:
    """A rule for each of a thousand /24 and one that everything fits; the rules by number."""
    said = [entry(10 * k, {"ip.src": f"10.{k >> 8}.{k & 255}.0/24", "l4.dport": "0-65535"}, k) for k in range(1, 1001)]
    said.append(entry(99_999, {}, 9))
    acl = table("rules", "acl", fields=TUPLE, value=VALUE, size=4096, entries=tuple(said), mode="direct")
    with Rig([acl], MATCH, ["match"]) as rig:
        yield rig, acl, {int(number): rule for number, rule in said}


def put(rig: Rig, acl: Any, rules: Rules, number: int, net: str, value: int) -> None:
    _, rules[number] = entry(number, {"ip.src": net}, value)
    agent.set(acl, rig.maps["rules"], str(number), rules[number])


def take(rig: Rig, acl: Any, rules: Rules, number: int) -> None:
    assert agent.delete(acl, rig.maps["rules"], str(number))
    del rules[number]


def same(rig: Rig, acl: Any, rules: Rules) -> bool:
    return agent.diff(acl, rig.maps["rules"], [(str(number), rule) for number, rule in rules.items()]) == ""


def test_what_changes_while_the_large_part_is_made_anew_is_not_lost() -> None:
    """Of rules that stood in the small part when it began, and of those of the large: each is replaced, taken away, put back as it was."""
    with thousand() as (rig, acl, rules):
        area = direct.Area(acl, rig.maps["rules"])
        for number in (15, 25, 35, 45, 40, 50):
            put(rig, acl, rules, number, f"172.16.{number}.0/24", number)
        take(rig, acl, rules, 60)
        seen = area.state(), area.small(area.state()), area.made()
        put(rig, acl, rules, 15, "172.17.15.0/24", 1015)  # of the small part: another rule
        take(rig, acl, rules, 25)
        put(rig, acl, rules, 35, "172.16.35.0/24", 35)  # the same again
        put(rig, acl, rules, 40, "172.17.40.0/24", 1040)  # of the large part before
        take(rig, acl, rules, 50)
        put(rig, acl, rules, 60, "172.17.60.0/24", 1060)  # what was gone
        put(rig, acl, rules, 70, "172.17.70.0/24", 1070)
        take(rig, acl, rules, 80)
        put(rig, acl, rules, 95, "172.17.95.0/24", 1095)
        fold._fold(NAME, area, *seen)
        assert area.made() == seen[2] + 1 and same(rig, acl, rules)
        small = area.rules(area.small(area.state()))
        assert [row.number for row in small] == [15, 40, 60, 70, 95]
        for number in (15, 40, 60, 70, 95):
            assert rig.run(Record(saddr=f"172.17.{number}.1"))[0] == 1000 + number
        assert rig.run(Record(saddr="172.16.45.1"))[0] == 45
        for source in ("172.16.15.1", "172.16.25.1", "172.16.40.1", "172.16.50.1", "10.0.5.1", "10.0.7.1", "10.0.8.1"):
            assert rig.run(Record(saddr=source))[0] == 9, source


def test_a_large_part_that_another_made_anew_meanwhile_stays() -> None:
    """What was read before is old then."""
    with thousand() as (rig, acl, rules):
        live, area = rig.maps["rules"], direct.Area(acl, rig.maps["rules"])
        seen = area.state(), area.small(area.state()), area.made()
        put(rig, acl, rules, 15, "172.16.0.0/24", 15)
        direct.write(acl, live, direct.read(acl, live))
        after = area.state()
        fold._fold(NAME, area, *seen)
        assert area.state() == after and same(rig, acl, rules)


def test_many_changes_in_a_row_under_traffic() -> None:
    """The part is made anew by processes that end, again and again; packets see one rule as it was or as it is, and no lock stays."""
    with thousand() as (rig, acl, rules):
        live, area = rig.maps["rules"], direct.Area(acl, rig.maps["rules"])
        with traffic(lambda: rig.run(Record(saddr="10.1.5.5"))[0]) as seen:
            for turn in range(200):
                with journal.locked(NAME):
                    number = 2610 if turn % 4 == 0 else 10 * turn + 5
                    put(rig, acl, rules, number, "10.1.5.0/24" if number == 2610 else f"172.16.{turn}.0/24", 5000 + turn)
                    fold.begin(NAME, acl, live)
        assert seen <= {261, *range(5000, 5200, 4)} and len(seen) > 10, seen
        until = time.monotonic() + 30
        while os.listdir(journal.folder()):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert area.made() > 1 and len(area.rules(area.small(area.state()))) < 150 and same(rig, acl, rules)


def test_who_is_killed_behind_a_fork_leaves_the_lock_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that makes the part anew waits for that lock itself, without end."""
    with thousand() as (rig, acl, rules):
        for number in range(5, 10 * (FOLDED + 1), 10):
            put(rig, acl, rules, number, f"172.16.{number & 255}.0/24", number)
        monkeypatch.setattr(fold, "_fold", lambda *_: time.sleep(2))
        caller = os.fork()
        if not caller:
            with journal.locked(NAME):
                fold.begin(NAME, acl, rig.maps["rules"])
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(caller, 0)
        with journal.locked(NAME):  # else Busy
            assert journal.take(journal.folding(NAME)) is None


def test_a_rule_that_the_small_part_has_no_room_for_is_taken_all_the_same() -> None:
    """Its lists combine to 400 records: then the change itself makes all anew."""
    with thousand() as (rig, acl, rules):
        area = direct.Area(acl, rig.maps["rules"])
        match = {"ip.src": [f"10.0.{n}.0/24" for n in range(20)], "l4.dport": [str(port) for port in range(20)]}
        rules[5] = {"match": match, "action": "deny", "class": 5}
        agent.set(acl, rig.maps["rules"], "5", rules[5])
        assert area.made() == 2 and not area.rules(area.small(area.state())) and same(rig, acl, rules)
        assert [rig.run(Record(saddr="10.0.7.1", dport=port))[0] for port in (19, 20)] == [5, 7]
