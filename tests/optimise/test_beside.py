"""Protects: only what may miss packets and only looks stands beside the path; what keeps the rest on it is named by both calculi."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ebpfnf import optimise
from ebpfnf.errors import CertificateError
from ebpfnf.model import EXIT, Graph
from ebpfnf.optimise import check, digest, edit
from ebpfnf.optimise.certificate import Certificate, Step
from tests.optimise import synthetic as s
from tests.optimise.synthetic import FIELDS, graph


def lossy(made: Graph, *which: int) -> Graph:
    """The graph with these of its instances declared lossy."""
    names = {f"v{k}" for k in which}
    return replace(made, stages=tuple(replace(stage, lossy=stage.instance in names) for stage in made.stages))


def forged(before: Graph, *run: int) -> None:
    """Put a step that nobody asked for to the checker."""
    after = edit.set_beside(before, run)
    check(before, Certificate(digest(before), digest(after), (Step("beside", run),)), after, FIELDS)


def test_one_copy_serves_a_run_and_packets_go_on_behind_it():
    before = lossy(graph([s.ACL, s.SIZES, s.SUBNETS, s.TTL, s.SIZES]), 1, 2, 4)
    after, certificate = optimise.optimise(before, FIELDS)
    check(before, certificate, after, FIELDS)
    assert [p.index for p in after.positions] == [0, 1, 3, 4]
    assert {first: [p.index for p in run] for first, run in after.beside.items()} == {1: [1, 2], 4: [4]}
    assert {(k.source, k.target) for k in after.links if k.outcome == "NEXT"} == {(0, 1), (1, 3), (3, 4), (4, EXIT)}


def test_what_a_run_writes_for_itself_is_its_own():
    before = lossy(graph([s.HASH, s.mnf("sample", "m.hash", tables="counter:seen")]), 0, 1)
    assert list(optimise.optimise(before, FIELDS)[0].beside) == [0]


KEPT = (
    ("what drops", [s.ACL], [0], 0, "v0.acl' may end", "says what becomes"),
    ("what answers", [s.ECHO], [0], 0, "v0.icmp_echo' may end", "says what becomes"),
    ("what sorts", [s.SPLIT], [0], 0, "v0.split' decides .* 'odd'", "says what becomes"),
    ("what rewrites", [s.SIZES, s.DSCP], [0, 1], 1, "v1.dscp_mark' writes 'ip.dscp'", "writes 'ip.dscp'"),
    ("what another reads", [s.HASH, s.SIZES, s.PICK], [0, 1], 0, "v0.hash' writes 'm.hash', which 'v2.pick'", "'v2.pick' uses 'm.hash'"),
    (
        "what is read behind a machine",
        [s.HASH, s.MACHINE, s.PICK],
        [0],
        0,
        "v0.hash' writes 'm.hash', which 'v2.pick'",
        "'v2.pick' uses 'm.hash'",
    ),
    ("what a route reads", [s.mnf("out", "", "m.fwd_port")], [0], 0, "writes 'm.fwd_port', which 'route'", "'route', uses 'm.fwd_port'"),
    ("what is a machine", [s.MACHINE], [0], 0, "machine of 'v0.machine'", "says what becomes"),
    ("what must not miss any", [s.SIZES], [], 0, "", "may miss no packet"),
)


@pytest.mark.parametrize(("what", "mnfs", "which", "bad", "why", "forbids"), KEPT, ids=[row[0] for row in KEPT])
def test_what_stays_on_the_path(what, mnfs, which, bad, why, forbids):
    links = [(0, "odd", EXIT)] if mnfs[0] is s.SPLIT else []
    before = lossy(graph(mnfs, links, then="route" if "route" in what else "pass"), *which)
    refused = [step for step in optimise.optimise(before, FIELDS)[1].refused if step.kind == "beside"]
    assert [(step.of, bool(re.search(why, step.why))) for step in refused] == [((bad,), True)] * bool(which)
    with pytest.raises(CertificateError, match=forbids):
        forged(before, bad)


def test_no_table_is_used_from_two_sides():
    """An instance that must stay on the path in one chain stays in all; a forged step for the other chain is refused."""
    one = lossy(graph([s.LENGTH, s.DSCP_BY_CLASS]), 0)
    late = tuple(replace(p, index=p.index + 2, chain="d") for p in one.positions[:1])
    chains = (*one.deployment.chains, replace(one.deployment.chains[0], name="d"))
    links = (*one.links, replace(one.links[0], source=2, target=EXIT))
    both = replace(
        one, deployment=replace(one.deployment, chains=chains), positions=(*one.positions, *late), links=links, entries={"c": 0, "d": 2}
    )
    after, certificate = optimise.optimise(both, FIELDS)
    assert not after.beside and [step.of for step in certificate.refused if step.kind == "beside"] == [(0,)]
    with pytest.raises(CertificateError, match="and on it"):
        forged(both, 2)


@pytest.mark.parametrize(
    ("steps", "forbids"),
    [
        ((Step("beside", (1, 3)),), "did not pass"),
        ((Step("beside", ()),), "no such step"),
        ((Step("beside", (1, 2)), Step("swap", (0, 1))), "'v1.sizes' stands beside the path"),
        ((Step("beside", (1, 2)), Step("beside", (2,))), "not there"),
        ((Step("beside", (1,)),), "another graph"),
    ],
)
def test_forged_certificates_are_refused(steps, forbids):
    before = lossy(graph([s.DSCP, s.SIZES, s.SUBNETS, s.SIZES]), 1, 2, 3)
    after = edit.set_beside(before, (1, 2))
    with pytest.raises(CertificateError, match=forbids):
        check(before, Certificate(digest(before), digest(after), steps), after, FIELDS)
