"""Protects: the flow cache knows only what is the same for every packet with the same headers; what else is refused by name, twice."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ebpfnf.errors import CertificateError
from ebpfnf.model import EXIT, Remembered
from ebpfnf.optimise import check, digest
from ebpfnf.optimise.certificate import Certificate, Step
from ebpfnf.optimise.remember import remember
from tests.optimise import synthetic as s
from tests.optimise.synthetic import FIELDS, graph, mnf

PICK = mnf("pick", "ip.dst l4.dport m.hash", "m.backend", verdicts="NEXT DROP", outcomes={"not_ours": "NEXT"}, tables="exact:vips!")
PICK_ALONE = mnf("service", "ip.dst l4.dport", "m.backend", tables="exact:vips!")
BY_CLASS = mnf("by_class", "m.class", verdicts="NEXT DROP", tables="exact:known!")
SOMETIMES = mnf("sometimes", "ip.src", "m.class", tables="prefix:nets!")
CLOCK = replace(s.ACL, asks="the clock")
BRIDGE = graph([s.ACL, s.SIZES, s.SUBNETS, s.HASH, PICK, s.DNAT])
KEY = ("ip.dst", "ip.proto", "ip.src", "ip.version", "l4.dport", "l4.sport", "m.have")


def test_look_ups_are_remembered_past_what_counts_and_the_checker_agrees():
    """Positions need not be neighbours: the counters between run by themselves. The hash is remembered for who reads it."""
    after, steps, left = remember(BRIDGE, FIELDS)
    assert after.remembered == (Remembered("c", KEY, (0, 3, 4)),)
    assert {step.of: step.why for step in left} == {
        (1,): "'v1.sizes' counts in 'v1.sizes.sizes'",
        (2,): "'v2.subnets' counts in 'v2.subnets.counts'",
        (5,): "'v5.dnat' writes 'v5.dnat.sessions'",
    }
    check(BRIDGE, Certificate(digest(BRIDGE), digest(after), steps, left), after, FIELDS)


# what, the mNFs, which of them can't be remembered, what the refusal names, what the checker names
ILLEGAL = (
    ("a count", [s.SIZES], 0, "v0.sizes.sizes", "sizes"),
    ("a table that packets fill", [s.RATE], 0, "v0.rate.seen", "seen"),
    ("a meter", [s.POLICE], 0, "v0.police.buckets", "buckets"),
    ("a write of the packet", [s.DSCP], 0, "ip.dscp", "ip.dscp"),
    ("the clock", [CLOCK], 0, "the clock", "the clock"),
    ("the kernel's routes", [replace(s.ROUTE, asks="the kernel's routes")], 0, "the kernel's routes", "the kernel's routes"),
    ("a payload", [s.HTTP_PLAIN], 0, "pl.head", "pl.head"),
    ("a length", [s.LENGTH], 0, "m.len", "pkt.len"),
    ("an address behind who rewrites it", [s.DNAT, s.ACL], 1, "ip.dst.*'v0.dnat'", "ip.dst"),
    ("a class by payload", [s.HTTP, mnf("user", "m.http", tables="exact:t!")], 1, "m.http.*'v0.http'", "m.http"),
    ("a class that a counting one may have set, and this one may leave", [mnf("sets", "pkt.len", "m.class", tables="counter:n"), SOMETIMES],
     1, "m.class.*'v0.sets'", "m.class"),
    ("a machine", [s.MACHINE], 0, "machine", "eth.dst"),
    ("own metadata of one that varies", [mnf("score", "pkt.len", own="points"), replace(s.SCORE_USER, tables=SOMETIMES.tables)],
     1, "m.score.points.*'v0.score'", "m.score.points"),
)  # fmt: skip


@pytest.mark.parametrize(("what", "mnfs", "index", "names", "checker"), ILLEGAL, ids=[each[0] for each in ILLEGAL])
def test_what_is_not_the_same_for_a_key_is_refused_by_name(what, mnfs, index, names, checker):
    before = graph([*mnfs, BY_CLASS])
    after, _, left = remember(before, FIELDS)
    assert not any(index in told.positions for told in after.remembered)
    why = next(step.why for step in left if step.of == (index,))
    assert re.search(names, why), why
    every = tuple(sorted({name for each in mnfs for name in each.reads if name in FIELDS.header} - {"pl.head", "pkt.len"} | set(KEY)))
    with pytest.raises(CertificateError, match=checker):
        _forge(before, Remembered("c", every, (index,)))


def _forge(before, told, steps=None):
    after = replace(before, remembered=(told,), unoptimised=before)
    check(before, Certificate(digest(before), digest(after), steps or (Step("remember", told.positions),)), after, FIELDS)


FORGED = (
    ("a key without what is read", Remembered("c", tuple(name for name in KEY if name != "l4.dport"), (0, 3, 4)), None, "dport"),
    ("a key without what all may ask", Remembered("c", tuple(name for name in KEY if name != "m.have"), (0, 3, 4)), None, "m.have"),
    ("one that reads what another leaves, without that one", Remembered("c", KEY, (0, 4)), None, "m.hash"),
    ("one more than the step says", Remembered("c", KEY, (0, 3, 4)), (Step("remember", (0, 3)),), "remembers others"),
    ("no step", Remembered("c", KEY, (0, 3, 4)), (Step("unordered", (1, 2)),), "another graph"),
    ("twice", Remembered("c", KEY, (0, 3, 4)), (Step("remember", (0, 3, 4)),) * 2, "already"),
    ("a change behind it", Remembered("c", KEY, (0, 3, 4)), (Step("remember", (0, 3, 4)), Step("swap", (1, 2))), "as it is then"),
    ("another chain", Remembered("d", KEY, (0, 3, 4)), None, "remembers others"),
)


@pytest.mark.parametrize(("what", "told", "steps", "names"), FORGED, ids=[each[0] for each in FORGED])
def test_a_forged_step_is_refused(what, told, steps, names):
    _forge(BRIDGE, Remembered("c", KEY, (0, 3, 4)))
    with pytest.raises(CertificateError, match=names):
        _forge(BRIDGE, told, steps)


def test_ways_that_join_are_only_as_certain_as_the_least():
    """By one way the class is the flow's, by the other a packet's: behind the join nobody may read it from memory."""
    fork = mnf("fork", "ip.src", outcomes={"odd": ""})
    marks = mnf("marks", "pkt.len", "m.class", always="m.class")
    before = graph([fork, s.ACL, marks, BY_CLASS], [(0, "odd", 2), (1, "NEXT", 3), (2, "NEXT", 3)])
    after, _, left = remember(before, FIELDS)
    assert after.remembered[0].positions == (0, 1)
    assert "'m.class'" in next(step.why for step in left if step.of == (3,))
    with pytest.raises(CertificateError, match=r"m\.class"):
        _forge(before, Remembered("c", KEY, (0, 1, 3)))
    alone = graph([fork, s.ACL, marks, BY_CLASS], [(0, "odd", 2), (1, "NEXT", 3), (2, "NEXT", EXIT)])
    assert remember(alone, FIELDS)[0].remembered[0].positions == (0, 1, 3)


def test_what_depends_on_the_way_is_remembered_where_the_key_decides_the_way():
    """One way sets the class, another leaves it: who reads it behind the join must find all packets of a key come by the same way."""
    for reads, positions in (("ip.src", (0, 1, 2, 3)), ("pkt.len", (0, 2))):
        fork = mnf("fork", reads, outcomes={"odd": ""})
        before = graph([s.ACL, fork, s.ACL, BY_CLASS], [(1, "odd", 3)])
        after, _, left = remember(before, FIELDS)
        assert after.remembered[0].positions == positions
        _forge(before, Remembered("c", after.remembered[0].key, positions))
    why = {step.of: step.why for step in left}
    assert why[3,] == "'v3.by_class' reads 'm.class', which depends on the way, and 'v1.fork', where ways part, is not remembered"
    with pytest.raises(CertificateError, match=r"'m.class' depends on the way"):
        _forge(before, Remembered("c", after.remembered[0].key, (0, 2, 3)))


def test_where_a_path_parts_by_classes_these_are_in_the_key_if_need_be():
    """The framework's own fork goes by what it found in headers that no mNF need read."""
    part = replace(mnf("part", "m.parts", outcomes={"tagged": ""}), folder="")
    before = graph([s.ACL, part, s.ACL, BY_CLASS], [(1, "tagged", 3)])
    after, _, _ = remember(before, FIELDS)
    assert after.remembered[0].positions == (0, 2, 3) and "m.parts" in after.remembered[0].key
    _forge(before, after.remembered[0])
    with pytest.raises(CertificateError, match=r"'m.class' depends on the packet's class"):
        _forge(before, replace(after.remembered[0], key=tuple(name for name in after.remembered[0].key if name != "m.parts")))
    apart = graph([s.ACL, part, s.SIZES, BY_CLASS], [(1, "tagged", 3)])
    assert "m.parts" not in remember(apart, FIELDS)[0].remembered[0].key


def test_the_cache_answers_as_far_as_the_first_machine():
    """What comes back finds another flow's entry at hand, so nothing is answered there: not by headers, not by what the record kept."""
    before = graph([s.ACL, PICK_ALONE, s.MACHINE, BY_CLASS, s.IDENTITY])
    after, _, left = remember(before, FIELDS)
    assert after.remembered[0].positions == (0, 1)
    why = {step.of: step.why for step in left}
    assert why[3,] == "packets come to 'v3.by_class' from a machine" and why[2,] == "'v2.machine' is a machine"
    for behind in (3, 4):
        with pytest.raises(CertificateError, match=r"'m.have' is written by one that is not remembered"):
            _forge(before, Remembered("c", KEY, (0, 1, behind)))


def test_what_spares_no_look_is_left_alone():
    after, _, left = remember(graph([s.HASH, s.PLAIN_DROP]), FIELDS)
    assert after.remembered == () and {step.why for step in left} == {"no table would be spared a look"}
