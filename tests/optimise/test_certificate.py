"""Protects: nothing is generated from a graph whose certificate does not prove it, and a certificate says what was done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ebpfnf import optimise, pipeline
from ebpfnf.errors import CertificateError
from ebpfnf.model import EXIT, Link
from ebpfnf.optimise import check
from ebpfnf.optimise.certificate import Certificate, Step, from_json
from tests.optimise import synthetic as s
from tests.optimise.synthetic import FIELDS, graph

BEFORE = graph([s.HASH, s.PLAIN_DROP, s.SIZES, s.DSCP, s.PLAIN_DROP, s.DSCP, s.HASH, s.PICK, s.IDENTITY])
AFTER, TRUE = optimise.optimise(BEFORE, FIELDS)


def test_the_true_one_is_taken_and_names_every_kind_of_step():
    check(BEFORE, TRUE, AFTER, FIELDS)
    assert {step.kind for step in TRUE.steps} == {"merge", "drop", "swap", "unordered"}
    assert all(step.why for step in (*TRUE.steps, *TRUE.refused))
    assert [p.index for p in AFTER.positions] == [1, 0, 2, 7, 3]
    assert TRUE.served_by == {4: 1, 5: 3, 6: 0}
    assert AFTER.meaning is BEFORE and AFTER.entries == {"c": 1}


def _moved(graph_):
    positions = list(graph_.positions)
    positions[0], positions[1] = positions[1], positions[0]
    return replace(graph_, positions=tuple(positions))


def _relinked(graph_):
    return replace(graph_, links=(*graph_.links[:-1], Link(7, "not_ours", EXIT)), entries={"c": 0})


FORGED = (
    ("a step left out", replace(TRUE, steps=TRUE.steps[1:]), AFTER, "lead to another graph|not there|straight|follow"),
    ("the last change left out", replace(TRUE, steps=TRUE.steps[:2]), AFTER, "lead to another graph"),
    ("steps in another order", replace(TRUE, steps=TRUE.steps[::-1]), AFTER, "step 1"),
    ("a step twice", replace(TRUE, steps=(TRUE.steps[0], *TRUE.steps)), AFTER, "not there"),
    ("a step that no one knows", replace(TRUE, steps=(Step("trust_me", (0,)), *TRUE.steps)), AFTER, "no such step"),
    ("a step with too few positions", replace(TRUE, steps=(Step("swap", (0,)), *TRUE.steps)), AFTER, "no such step"),
    ("a position that is none", replace(TRUE, steps=(Step("drop", (99,)), *TRUE.steps)), AFTER, "99: .* not there"),
    ("a position with itself", replace(TRUE, steps=(Step("merge", (1, 1)), *TRUE.steps)), AFTER, "twice"),
    ("a drop of what counts", replace(TRUE, steps=(Step("drop", (2,)), *TRUE.steps)), AFTER, "'v2.sizes': it does more than writing"),
    ("a move over what counts", replace(TRUE, steps=(Step("swap", (2, 3)), Step("swap", (2, 4)))), AFTER, "v2.sizes.sizes"),
    ("a move to afar", replace(TRUE, steps=(Step("swap", (0, 4)),)), AFTER, "does not lead straight to 'v4.check'"),
    ("unordered, though apart", replace(TRUE, steps=(Step("unordered", (0, 3)),)), AFTER, "does not follow straight"),
    ("unordered, though one reads the other", replace(TRUE, steps=(Step("unordered", (6, 7)),)), AFTER, "m.hash"),
    ("unordered alone", replace(TRUE, steps=(Step("unordered", (0,)),)), AFTER, "no order"),
    ("for another graph", replace(TRUE, before="0" * 64), AFTER, "for another graph"),
    ("to another graph", replace(TRUE, after="0" * 64), AFTER, "lead to another graph"),
    ("no steps, but a change", replace(TRUE, steps=()), AFTER, "lead to another graph"),
    ("an order that no step made", TRUE, _moved(AFTER), "lead to another graph"),
    ("a link that no step made", TRUE, _relinked(AFTER), "lead to another graph"),
    ("a stage less", TRUE, replace(AFTER, stages=AFTER.stages[1:]), "'v0.hash' is not what it was"),
    ("another mNF", TRUE, replace(AFTER, stages=(replace(AFTER.stages[0], mnf=s.DSCP), *AFTER.stages[1:])), "'v0.hash' is not what it was"),
    ("another meaning", TRUE, replace(AFTER, unoptimised=graph([s.HASH])), "came from another graph"),
    ("no meaning", TRUE, replace(AFTER, unoptimised=None), "came from another graph"),
)


@pytest.mark.parametrize(("what", "certificate", "after", "names"), FORGED, ids=[row[0] for row in FORGED])
def test_forged_ones_are_refused(what, certificate, after, names):
    with pytest.raises(CertificateError, match=names):
        check(BEFORE, certificate, after, FIELDS)


def test_json_and_back():
    assert from_json(TRUE.as_json()) == TRUE
    for broken in ({}, {"before": "", "after": "", "steps": [{"kind": "swap"}], "refused": []}, {**TRUE.as_json(), "steps": [{"of": "x"}]}):
        with pytest.raises(CertificateError, match="not a certificate"):
            from_json(broken)


def test_the_pipeline_asks_the_checker(monkeypatch):
    monkeypatch.setattr(optimise, "optimise", lambda graph_, fields, level: (AFTER, replace(TRUE, steps=())))
    with pytest.raises(CertificateError):
        pipeline.shorten(BEFORE, "chain")


def test_off_is_the_graph_as_it_is():
    after, certificate = optimise.optimise(BEFORE, FIELDS, "off")
    assert after is BEFORE and certificate == Certificate(TRUE.before, TRUE.before)
    check(BEFORE, certificate, after, FIELDS)
