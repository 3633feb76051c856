"""Protects: no illegal move over the places where a path parts and joins, or over the borders of templates in templates."""

# ruff: noqa: E501 -- a case is a line

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from ebpfnf import optimise
from ebpfnf.errors import CertificateError
from ebpfnf.model import EXIT, Graph
from ebpfnf.optimise import check, digest, edit
from ebpfnf.optimise.certificate import Certificate, Step
from ebpfnf.optimise.legality import Law
from tests.optimise import synthetic as s
from tests.optimise.synthetic import FIELDS, graph

PART = s.mnf("part", "m.parts", outcomes={"web": "", "voice": ""})


def parted(before: list, web: list, voice: list, behind: list, then: str = "pass") -> Graph:
    """`before`, then a parting into two classes and those of none, then `behind`."""
    part, first, second = len(before), len(before) + 1, len(before) + 1 + len(web)
    join = second + len(voice) if behind else EXIT
    links = [(part, "NEXT", join), (part, "web", first if web else join), (part, "voice", second if voice else join)]
    links += [(second - 1, "NEXT", join)] if web else []
    links += [(second + len(voice) - 1, "NEXT", join)] if voice else []
    return graph([*before, PART, *web, *voice, *behind], links, then=then)


def nested(found: Graph, *uses: str) -> Graph:
    """The same, all in one instance, each mNF in a use of a template."""
    names = {stage.id: f"edge.{use}.{stage.mnf.name}" for stage, use in zip(found.stages, uses, strict=True)}
    stages = tuple(replace(stage, id=names[stage.id], instance="edge", node=names[stage.id][5:]) for stage in found.stages)
    return replace(found, stages=stages, positions=tuple(replace(p, stage=names[p.stage], vnf_index=0) for p in found.positions))


# what, graph, step, what calculus and checker must name
ILLEGAL = (
    ("a drop of one class before the parting", parted([], [s.PLAIN_DROP], [], []), ("swap", 0, 1), "web|straight"),
    ("a mark of one class before the parting", parted([], [s.DSCP], [], []), ("swap", 0, 1), "alone|straight"),
    ("a counter of one class for all", parted([], [s.SIZES], [], []), ("swap", 0, 1), "alone|straight"),
    ("a drop behind the join before the parting", parted([], [], [], [s.PLAIN_DROP]), ("swap", 0, 1), "web"),
    ("the parting before a drop: who is dropped is of no class", parted([s.PLAIN_DROP], [s.SIZES], [], []), ("swap", 0, 1), "web|one way"),
    ("the parting before a mark", parted([s.DSCP], [s.SIZES], [], []), ("swap", 0, 1), "several places|one way"),
    ("what is behind the join into a class", parted([], [s.DSCP], [], [s.HASH]), ("swap", 1, 2), "past|straight|one way"),
    ("a drop behind the join into a class", parted([], [s.HASH], [], [s.PLAIN_DROP]), ("swap", 1, 2), "past|straight"),
    ("a mark of a class behind the join", parted([], [s.HASH, s.DSCP], [], [s.TTL_SET]), ("swap", 2, 3), "past|straight"),
    ("from one class into the other", parted([], [s.HASH], [s.DSCP], []), ("swap", 1, 2), "alone|straight"),
    ("one class's result for the other", parted([], [s.HASH], [s.HASH], [s.PICK]), ("merge", 2, 1), "past|did not pass"),
    ("a class's result for all", parted([], [s.HASH], [], [s.HASH, s.PICK]), ("merge", 2, 1), "past|did not pass"),
    ("a result over a class that rewrites", parted([s.HASH], [s.DNAT], [], [s.HASH, s.PICK]), ("merge", 3, 0), "ip.dst|l4.dport"),
    ("a check over a class that rewrites", parted([s.PLAIN_DROP], [], [s.SNAT], [s.PLAIN_DROP]), ("merge", 3, 0), "ip.src|l4.sport"),
    ("an answer over a class that marks", parted([s.ECHO], [s.DSCP], [], [s.ECHO]), ("merge", 3, 0), "ip.dscp"),
    ("state over a parting", parted([s.HTTP], [s.SIZES], [], [s.HTTP]), ("merge", 3, 0), "flows"),
    ("two partings by the same classes", parted([PART], [s.SIZES], [], []), ("merge", 1, 0), "several places|web|voice|by NEXT"),
    ("a parting that leads to one place: it is counted", parted([], [], [], [s.SIZES]), ("drop", 0), "web|several|more than writing"),
    ("what one class reads", parted([s.HASH], [s.PICK], [], []), ("drop", 0), "m.hash"),
    ("what is read behind the join", parted([s.HASH], [s.SIZES], [], [s.PICK]), ("drop", 0), "m.hash"),
    ("what one class only writes anew", parted([s.DSCP], [s.DSCP], [], []), ("drop", 0), "ip.dscp"),
    ("a class's write that is read behind the join", parted([s.LENGTH], [s.LENGTH], [], [s.DSCP_BY_CLASS]), ("drop", 2), "m.class"),
    ("a write that one class's mirror sees", parted([s.DSCP], [s.MIRROR], [], [s.DSCP]), ("drop", 0), "ip.dscp"),
    ("a use's drop before another use's counter", nested(graph([s.SIZES, s.ACL]), "a.fw", "b.fw"), ("swap", 0, 1), "edge.a.fw.sizes.sizes"),
    ("a use's NAT behind what reads the outside", nested(graph([s.SUBNETS, s.DNAT]), "a", "b"), ("swap", 0, 1), "ip.dst"),
    ("two uses have two states", nested(graph([s.HTTP, s.HTTP]), "a", "b"), ("merge", 1, 0), "flows"),
    ("two uses have two lists of rules", nested(graph([s.ACL, s.ACL]), "a.fw", "b.fw"), ("merge", 1, 0), "rules"),
    ("two uses count twice", nested(graph([s.SIZES, s.SIZES]), "a", "b"), ("merge", 1, 0), "sizes"),
    ("two uses with other parameters", nested(graph([s.HASH, s.HASH], config={0: {"n": 1}, 1: {"n": 2}}), "a", "b"), ("merge", 1, 0), "'n'|same"),
    ("a use's class over another use's marker", nested(graph([s.LENGTH, s.DSCP_BY_CLASS]), "a", "b"), ("swap", 0, 1), "m.class"),
    ("a rate of one use, state and ending, before a counter", nested(graph([s.SIZES, s.RATE]), "a", "a.in"), ("swap", 0, 1), "edge.a.sizes.sizes"),
)  # fmt: skip
LEGAL = (
    ("a result over classes that leave it alone", parted([s.HASH], [s.SIZES], [s.TTL_SET], [s.HASH, s.PICK]), ("merge", 4, 0)),
    ("a check over a parting, for a class", parted([s.PLAIN_DROP], [s.SIZES, s.PLAIN_DROP], [], []), ("merge", 3, 0)),
    ("a write that is overwritten behind the join", parted([s.DSCP], [s.SIZES], [], [s.DSCP]), ("drop", 0)),
    ("a class's write that is overwritten behind the join", parted([], [s.DSCP], [], [s.DSCP]), ("drop", 1)),
    ("a drop forward inside of a class", parted([], [s.DSCP, s.PLAIN_DROP], [], [s.SIZES]), ("swap", 1, 2)),
    ("a drop forward behind the join", parted([], [s.SIZES], [], [s.HASH, s.PLAIN_DROP]), ("swap", 2, 3)),
    ("a drop forward before the parting", parted([s.HASH, s.PLAIN_DROP], [s.SIZES], [], []), ("swap", 0, 1)),
    ("a check over the borders of uses", nested(graph([s.PLAIN_DROP, s.SIZES, s.PLAIN_DROP]), "a", "b.in", "c"), ("merge", 2, 0)),
    ("a drop forward over the border of a use", nested(graph([s.DSCP, s.PLAIN_DROP]), "a", "b.in"), ("swap", 0, 1)),
)  # fmt: skip


def _asked(before: Graph, kind: str, of: tuple[int, ...]) -> tuple[str, Callable[[], Graph]]:
    law = Law(before, FIELDS)
    if kind == "swap":
        return law.no_swap(*of), lambda: edit.swap(before, *of)
    return law.no_merge(of[1], of[0]) if kind == "merge" else law.no_drop(*of), lambda: edit.remove(before, of[0])


@pytest.mark.parametrize(("what", "before", "step", "names"), ILLEGAL, ids=[row[0] for row in ILLEGAL])
def test_illegal_moves_are_refused_by_both(what, before, step, names):
    kind, *of = step
    why, _ = _asked(before, kind, tuple(of))
    assert re.search(names, why), f"{what}: {why or 'allowed'}"
    with pytest.raises(CertificateError, match=f"step 1 of the certificate, {kind}") as refused:
        check(before, Certificate(digest(before), digest(before), (Step(kind, tuple(of)),)), before, FIELDS)
    assert re.search(names, str(refused.value)), f"{what}: {refused.value}"


@pytest.mark.parametrize(("what", "before", "step"), LEGAL, ids=[row[0] for row in LEGAL])
def test_legal_moves_are_allowed_by_both(what, before, step):
    kind, *of = step
    why, do = _asked(before, kind, tuple(of))
    assert why == "", what
    after = do()
    check(before, Certificate(digest(before), digest(after), (Step(kind, tuple(of)),)), after, FIELDS)


@pytest.mark.parametrize("of", [(0, 1), (1, 2), (2, 3)])
def test_no_group_without_order_reaches_over_a_parting_or_a_join(of):
    before = parted([s.SIZES], [s.SUBNETS], [], [s.SIZES])
    with pytest.raises(CertificateError, match="does not follow straight"):
        check(before, Certificate(digest(before), digest(before), (Step("unordered", of),)), before, FIELDS)


def test_what_the_passes_make_of_a_parted_path_is_taken_by_the_checker():
    before = parted([s.HASH, s.PLAIN_DROP], [s.DSCP, s.PLAIN_DROP, s.SIZES], [s.HASH], [s.HASH, s.DSCP, s.PICK])
    after, certificate = optimise.optimise(before, FIELDS)
    check(before, certificate, after, FIELDS)
    assert certificate.served_by == {4: 1, 6: 0, 7: 0}, "the check and both hashes take what was found before the parting"
    assert [p.stage for p in after.positions] == ["v1.check", "v0.hash", "v2.part", "v5.sizes", "v9.pick", "v8.dscp_mark"]
