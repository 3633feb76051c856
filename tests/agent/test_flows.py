"""Packets that entered a stage follow from what ended before it, over links, outcomes and chains that share a stage."""

from __future__ import annotations

import dataclasses

from ebpfnf.agent import flows
from ebpfnf.agent.manifest import Manifest
from ebpfnf.agent.seen import Generation, Observed, Totals
from ebpfnf.agent.status import status
from ebpfnf.model import Counter, SlotLayout


def manifest() -> Manifest:
    """in: acl -> pick -(not_ours)-> log -> exit; pick -> nat. out: nat only."""
    counters = (
        Counter(0, "in.entered", "entered", chain="in"),
        Counter(1, "out.entered", "entered", chain="out"),
        Counter(2, "edge.acl_deny", "drop", stage="edge.acl", position=0, text="a rule denies"),
        Counter(3, "lb.pick.not_ours", "outcome", stage="lb.pick", position=1),
        Counter(4, "lb.no_flow", "drop", stage="lb.nat", position=4),
        Counter(5, "wan.otherwise", "otherwise", port="wan"),
        Counter(6, "chain.in.fragment", "drop", port="wan", chain="in"),
    )
    places = [("in", "edge.acl"), ("in", "lb.pick"), ("in", "lb.nat"), ("in", "lb.log"), ("out", "lb.nat")]
    links = [(0, "NEXT", 1), (1, "NEXT", 2), (1, "not_ours", 3), (2, "NEXT", -1), (3, "NEXT", -1), (4, "NEXT", -1)]
    return Manifest(
        "dc", 1, "d", 0, 0, (), counters, SlotLayout(64, 0, 24, 32), (),
        stages=tuple({"id": s, "mnf": s.split(".")[1]} for s in ("edge.acl", "lb.pick", "lb.nat", "lb.log")),
        positions=tuple({"index": i, "chain": c, "stage": s, "segment": 0} for i, (c, s) in enumerate(places)),
        links=tuple({"source": s, "outcome": o, "target": t} for s, o, t in links),
        chains=({"name": "in", "on": "wan", "entry": 0}, {"name": "out", "on": "lan", "entry": 4}), state=(), bound={}, pins={},
    )  # fmt: skip


COUNTS = (105, 7, 30, 20, 2, 9, 5)


def test_inputs_follow_by_conservation() -> None:
    assert flows.position_inputs(manifest(), COUNTS) == {0: 100, 1: 70, 2: 50, 3: 20, 4: 7}
    assert flows.stage_inputs(manifest(), COUNTS)["lb.nat"] == 57


def test_the_optimiser_may_have_moved_positions() -> None:
    """acl and pick have changed places, but not numbers."""
    made = manifest()
    links = [(1, "NEXT", 0), (1, "not_ours", 3), (0, "NEXT", 2), (2, "NEXT", -1), (3, "NEXT", -1), (4, "NEXT", -1)]
    moved = dataclasses.replace(
        made,
        links=tuple({"source": s, "outcome": o, "target": t} for s, o, t in links),
        chains=({**made.chains[0], "entry": 1}, made.chains[1]),
    )
    assert flows.position_inputs(moved, COUNTS) == {1: 100, 3: 20, 0: 80, 2: 50, 4: 7}


def test_a_torn_read_gives_nothing_below_zero() -> None:
    assert min(flows.position_inputs(manifest(), (5, 0, 30, 0, 0, 0, 9)).values()) == 0


def test_status_adds_what_is_gone() -> None:
    gone = Totals({"in.entered": 1000, "edge.acl_deny": 400, "old.reason": 3}, {"edge.acl": 1000})
    seen = Observed("dc", True, (Generation(1, manifest(), COUNTS),), 1, True, retired=gone)
    told = status(seen)
    assert told["counters"]["in.entered"] == 1105 and told["counters"]["old.reason"] == 3
    assert told["chains"][0]["packets"] == 1105
    assert told["stages"][0] == {"id": "edge.acl", "mnf": "acl", "in": 1100, "drops": {"edge.acl_deny": 430}, "outcomes": {}, "ends": {}}
    assert told["otherwise"] == {"wan.otherwise": 9} and told["warnings"] == []


def test_status_of_nothing() -> None:
    told = status(Observed("dc"))
    assert told["running"] is False and told["warnings"] == []
