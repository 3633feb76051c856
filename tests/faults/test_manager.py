"""A manager killed at any place of a rollout over three hosts: each host runs the old or the new, and the next run ends what was begun."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpfnf.fleet import remote
from ebpfnf.fleet.change import Fleet
from ebpfnf.lab.hosts import HostLab
from tests.fleet import rig
from tests.fleet.managers import Managers, managers, rollout

pytestmark = [pytest.mark.faults, pytest.mark.fleet]

TURN = {1: 2, 2: 1}


@pytest.fixture(scope="module")
def lab() -> Iterator[HostLab]:
    with HostLab(f"manager-{os.getpid()}") as lab:
        rig.begin(lab, 1)
        yield lab


@pytest.fixture(scope="module")
def born(lab: HostLab) -> Iterator[Managers]:
    with managers(lab) as born:
        yield born


@pytest.fixture(scope="module")
def survivor(lab: HostLab) -> Iterator[Fleet]:
    """Connections of whoever comes after one that died."""
    with rig.fleet(lab) as found:
        assert rollout(found, 2).complete and rollout(found, 1).complete  # from now on each update retires a generation
        yield found


def marks(fleet: Fleet) -> list[int]:
    statuses = fleet.each(lambda host: host.run("status", {"deployment": rig.NAME}))
    return [next(m for m in TURN if rig.digest(fleet, each.host, m) == each.result["digest"]) for each in statuses]


def places(born: Managers, file: Path, mark: int, unwell: str = "") -> list[str]:
    """All that a rollout passes, as it says itself."""
    assert born.live(mark, unwell, listed=str(file)) == (4 if unwell else 0)
    return file.read_text().splitlines()


def telling(found: list[str]) -> list[str]:
    """Where hosts were only looked at since the place before, they are as they were there."""
    looks = [" status: " in place or " kept: " in place for place in found]
    return [place for at, place in enumerate(found) if not (looks[at] and at and looks[at - 1])]


def test_nothing_is_said_to_a_host_anywhere_else() -> None:
    """So what a rollout passes is all that there is; a call that comes later is among it without a word here."""
    folder = Path(remote.__file__).parent
    assert {file.name for file in folder.glob("*.py") if re.search(r"\.(talk|open)\(\w", file.read_text())} <= {
        "remote.py",
        "install.py",
        "ship.py",
    }
    assert Path(remote.__file__).read_text().count(".talk(") == 1


def test_killed_anywhere_it_is_taken_up_again(born: Managers, survivor: Fleet, tmp_path: Path) -> None:
    now = 1
    found = places(born, tmp_path / "places", 2)
    assert {re.sub(r" \d+$", "", place).partition(" ")[2] for place in found} == {
        f"{command}: {what}" for command in ("kept", "claim", "status", "apply") for what in ("before", "heard")
    }
    old, now = 1, 2
    for place in telling(found):
        if set(marks(survivor)) == {now}:
            old, now = now, old
        assert born.live(now, point=place) == -signal.SIGKILL, place
        there = marks(survivor)
        assert set(there) <= {old, now} and there == sorted(there, key=lambda mark: mark == old), f"{place}: first hosts first"
        if "kept" in place or "claim" in place:
            assert there == [old] * 3, f"{place}: nothing was begun, the next one begins"
        else:
            again = rollout(survivor, now)
            assert again.complete and again.resumed and marks(survivor) == [now] * 3, (place, again)


def test_killed_while_it_goes_back(born: Managers, survivor: Fleet, tmp_path: Path) -> None:
    """h2 is not well: h1 and h2 return. Whoever comes after finds the same, and leaves them as they were."""
    old = marks(survivor)[0]
    found = places(born, tmp_path / "places", TURN[old], "h2")
    back = found[found.index("h2 status: heard 2") :]
    assert len(back) > 15 and any("rollback: heard" in place for place in back)
    for place in telling(back):
        assert born.live(TURN[old], "h2", point=place) == -signal.SIGKILL, place
        there = marks(survivor)
        assert set(there) <= {1, 2} and there[2] == old, place
        again = rollout(survivor, TURN[old], "h2")
        assert marks(survivor) == [old] * 3, (place, again)
        assert again.hosts["h3"] == "untouched"
