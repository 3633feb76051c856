"""The sums of generations that are gone, pinned under state/: why counters never go back over a swap.

A generation is folded in first and removed then, and the note names it: a reader that meets both counts it once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ebpfnf.agent import failpoints, values
from ebpfnf.agent.seen import Totals
from ebpfnf.kernel.pins import Pins

PIN = "retired"  # under state/


@dataclass(frozen=True, slots=True)
class Retired:
    """`stamp` changes with each fold; `folded` are generations that may still be there; `last` is the highest number ever folded."""

    stamp: int = 0
    last: int = 0
    folded: tuple[int, ...] = ()
    totals: Totals = field(default_factory=Totals)


def read(pins: Pins) -> Retired:
    """What was folded so far."""
    stamp, value = values.read(pins.state(PIN))
    try:
        return Retired(stamp, int(value["last"]), tuple(value["folded"]), Totals(value["counters"], value["stages"]))
    except (TypeError, KeyError, ValueError):
        return Retired()


def fold(pins: Pins, number: int, totals: Totals) -> None:
    """Add a generation's sums; folding it again changes nothing."""
    before = read(pins)
    if number in before.folded:
        return
    sums = before.totals.plus(totals)
    still_there = [n for n in before.folded if n in pins.generations()]
    note = {"last": max(number, before.last), "folded": [*still_there, number], "counters": sums.counters, "stages": sums.stages}
    values.write(pins.state(PIN), note, PIN)
    failpoints.hit("folded")


def add(pins: Pins, totals: Totals) -> None:
    """Add what something else counted that is going."""
    before = read(pins)
    sums = before.totals.plus(totals)
    note = {"last": before.last, "folded": list(before.folded), "counters": sums.counters, "stages": sums.stages}
    values.write(pins.state(PIN), note, PIN)
