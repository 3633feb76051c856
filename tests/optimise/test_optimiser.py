"""Protects: what the passes find, that there is nothing left to find, and that names, order of manifests and do-nothings change nothing."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from ebpfnf import optimise, pipeline, spec
from ebpfnf.errors import CertificateError
from ebpfnf.generate import segment
from ebpfnf.generate.counters import allocate
from ebpfnf.model import EXIT, Graph, Mnf
from ebpfnf.optimise import check, digest, edit
from ebpfnf.optimise.certificate import Certificate, Step
from ebpfnf.optimise.legality import Law
from tests.optimise import synthetic as s
from tests.optimise.synthetic import FIELDS, graph
from tests.subjects import EXAMPLE

ALL = [value for value in vars(s).values() if isinstance(value, Mnf)]


def _random(seed: int) -> Graph:
    """A chain of up to twelve mNFs, some twice or more often, with jumps forward."""
    r = random.Random(seed)
    pool = r.sample(ALL, r.randrange(2, 6))
    mnfs = [r.choice(pool) for _ in range(r.randrange(2, 13))]
    links = []
    for k, node in enumerate(mnfs):
        for outcome, default in node.outcomes.items():
            if default in ("", "NEXT") and (not default or r.random() < 0.5):
                links.append((k, outcome, r.choice([EXIT, *range(k + 1, len(mnfs))])))
    then, direction = r.choice(("pass", "drop", "route", "reflect")), r.choice(("forward", "reverse"))
    return graph(mnfs, links, then=then, direction=direction)


def _stages(found: Graph) -> list[str]:
    return [position.stage for position in found.positions]


@pytest.mark.parametrize("block", range(10))
def test_whatever_the_passes_do_the_checker_takes_and_a_second_time_nothing_is_left(block):
    done = 0
    for seed in range(block * 60, block * 60 + 60):
        before = _random(seed)
        after, certificate = optimise.optimise(before, FIELDS)
        check(before, certificate, after, FIELDS)
        done += len(certificate.steps)
        again, second = optimise.optimise(replace(after, unoptimised=None), FIELDS)
        assert {step.kind for step in second.steps} <= {"unordered"} and _stages(again) == _stages(after), f"seed {seed}"
    assert done > 60


@pytest.mark.parametrize("block", range(6))
def test_calculus_and_checker_agree_on_every_step_that_one_could_think_of(block):
    allowed = 0
    for seed in range(1000 + block * 25, 1025 + block * 25):
        before = _random(seed)
        law = Law(before, FIELDS)
        indices = [position.index for position in before.positions]
        every = [(Step("swap", (a, b)), law.no_swap(a, b), edit.swap) for a, b in pairwise(indices)]
        every += [(Step("drop", (a,)), law.no_drop(a), edit.remove) for a in indices]
        every += [
            (Step("merge", (b, a)), law.no_merge(a, b), lambda g, b, _a: edit.remove(g, b)) for a in indices for b in indices if a < b
        ]
        for step, why, do in every:
            try:
                after = do(before, *step.of)
            except ValueError:
                after = before  # several ways out: no such step exists
            certificate = Certificate(digest(before), digest(after), (step,))
            try:
                check(before, certificate, after, FIELDS)
            except CertificateError as refused:
                assert why, f"seed {seed}: {step}: only the checker refuses: {refused}"
            else:
                assert not why, f"seed {seed}: {step}: only the calculus refuses: {why}"
                allowed += 1
    assert allowed > 20


def test_links_go_forward_and_every_position_is_reached():
    for seed in range(300):
        after, _ = optimise.optimise(_random(seed), FIELDS)
        place = {position.index: k for k, position in enumerate(after.positions)}
        assert all(link.target < 0 or place[link.source] < place[link.target] for link in after.links), f"seed {seed}"


def test_an_mnf_that_does_nothing_changes_nothing():
    for seed in range(100):
        r, plain = random.Random(seed), [ALL[k % len(ALL)] for k in range(seed, seed + 6)]
        place = r.randrange(7)
        with_it = [*plain[:place], s.IDENTITY, *plain[place:]]
        expected, _ = optimise.optimise(graph(plain, _open(plain)), FIELDS)
        found, certificate = optimise.optimise(graph(with_it, _open(with_it)), FIELDS)
        order = [p.index - (p.index > place) for p in found.positions]
        assert order == [p.index for p in expected.positions] and place in {step.of[0] for step in certificate.steps}, f"seed {seed}"


def _open(mnfs: list[Mnf]) -> list[tuple[int, str, int]]:
    """Outcomes that must be linked, linked to the next."""
    return [
        (k, outcome, k + 1 if k + 1 < len(mnfs) else EXIT)
        for k, node in enumerate(mnfs)
        for outcome, default in node.outcomes.items()
        if not default
    ]


def test_names_say_nothing():
    for seed in range(100):
        before = _random(seed)
        names = {stage.id: f"x{k}.y" for k, stage in enumerate(before.stages)}
        stages = tuple(replace(stage, id=names[stage.id], instance=names[stage.id][:-2], node="y") for stage in before.stages)
        renamed = replace(before, stages=stages, positions=tuple(replace(p, stage=names[p.stage]) for p in before.positions))
        found, expected = optimise.optimise(renamed, FIELDS), optimise.optimise(before, FIELDS)
        assert [(step.kind, step.of) for step in found[1].steps] == [(step.kind, step.of) for step in expected[1].steps], f"seed {seed}"


def test_a_do_nothing_in_between_is_no_wall():
    first = graph([s.HASH, s.IDENTITY, s.PLAIN_DROP, s.SIZES])
    after, _ = optimise.optimise(first, FIELDS)
    assert [p.index for p in after.positions] == [2, 3], "the hash is dead, the check stays before the count"


def test_monitoring_counts_what_the_firewall_passed():
    after, certificate = optimise.optimise(graph([s.HASH, s.ACL, s.SIZES, s.SUBNETS, s.URL, s.PICK]), FIELDS)
    assert _stages(after) == ["v1.acl", "v2.sizes", "v3.subnets", "v4.url", "v0.hash", "v5.pick"]
    assert {("unordered", (2, 3)), ("unordered", (4, 0))} <= {(step.kind, step.of) for step in certificate.steps}
    (refused,) = [step for step in certificate.refused if step.of == (3, 4)]
    assert refused.why == "'v4.url' may end the packet, 'v3.subnets' counts in 'v3.subnets.counts'"


def test_work_goes_behind_a_drop_over_what_has_no_order_with_it():
    after, certificate = optimise.optimise(graph([s.HASH, s.DSCP, s.SIZES, s.RATE, s.PICK]), FIELDS)
    assert _stages(after) == ["v2.sizes", "v3.rate", "v0.hash", "v4.pick", "v1.dscp_mark"], "the count stays, the rest goes behind the drop"
    moved = {step.of: step.why for step in certificate.steps if step.kind == "swap"}
    assert moved[0, 2] == "'v3.rate' may end the packet, and 'v0.hash' and 'v2.sizes' have no order"
    assert moved[0, 3] == "'v3.rate' may end the packet, and the two commute"
    held = optimise.optimise(graph([s.LENGTH, s.DSCP_BY_CLASS, s.RATE]), FIELDS)[0]
    assert _stages(held) == ["v2.rate", "v0.length_log", "v1.dscp_class"], "what reads it goes first, then it may go too"
    kept = optimise.optimise(graph([s.HASH, s.mnf("reads", "m.hash", tables="counter:seen"), s.RATE]), FIELDS)[0]
    assert _stages(kept) == ["v0.hash", "v1.reads", "v2.rate"], "what a count reads stays before the count"


def test_with_a_program_for_each_vnf_none_leaves_its_vnf():
    before = graph([s.HASH, s.PLAIN_DROP, s.PICK])
    assert [p.index for p in optimise.optimise(before, FIELDS, "vnf")[0].positions] == [0, 1, 2]
    one_vnf = replace(before, positions=tuple(replace(p, vnf_index=0) for p in before.positions))
    after, _ = optimise.optimise(one_vnf, FIELDS, "vnf")
    assert [p.index for p in after.positions] == [1, 0, 2]
    assert segment(after, "vnf").groups == ((), (1, 0, 2))
    assert segment(after, "mnf").groups == ((), (1,), (0,), (2,))


def test_counters_are_those_of_the_files():
    before = graph([s.PLAIN_DROP, s.SIZES, s.PLAIN_DROP, s.PICK])
    after, _ = optimise.optimise(before, FIELDS)
    assert len(after.positions) < len(before.positions)
    assert allocate(after) == allocate(before)


def test_the_example_stays_in_order_and_says_why():
    expanded = pipeline.expand(spec.load(EXAMPLE))
    after, certificate = pipeline.shorten(expanded, "chain")
    assert _stages(after) == _stages(expanded), "nothing in it may move"
    groups = [[expanded.positions[index].stage for index in step.of] for step in certificate.steps if step.kind == "unordered"]
    assert ["stats.sizes", "stats.subnets", "waf.http"] in groups and ["waf.sqli", "lb.hash"] in groups
    assert any("'stats.subnets' counts in 'stats.subnets.counts'" in step.why for step in certificate.refused)


def test_the_same_files_make_the_same_certificate():
    expanded = pipeline.expand(spec.load(EXAMPLE))
    assert pipeline.shorten(expanded, "chain")[1].as_json() == pipeline.shorten(expanded, "chain")[1].as_json()
