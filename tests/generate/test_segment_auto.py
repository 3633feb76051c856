"""`granularity: auto` protects from programs that the verifier refuses, and from cuts that cost more than need be."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.errors import GenerateError
from ebpfnf.generate.costs import SHIPPED, VM, Costs
from ebpfnf.generate.segment import MAX_VERIFIED, behind_vms, cheapest, expected, segment
from ebpfnf.model import Graph, Segments

DC_EDGE = Path(__file__).resolve().parents[2] / "examples" / "dc-edge" / "chain.yaml"


@pytest.fixture(scope="module")
def graph() -> Graph:
    """The example, as written."""
    return pipeline.expand(spec.load(DC_EDGE))


@pytest.fixture(scope="module")
def whole() -> Graph:
    """The example with stages in VMs, as written."""
    return pipeline.expand(spec.load(DC_EDGE.with_name("whole.yaml")))


def cut(graph: Graph, chain: str, length: int) -> Graph:
    """The first mNFs of one chain alone."""
    import dataclasses

    positions = tuple(p for p in graph.positions if p.chain == chain)[:length]
    kept = {p.index for p in positions}
    links = tuple(k if k.target in kept or k.target < 0 else dataclasses.replace(k, target=-1) for k in graph.links if k.source in kept)
    deployment = dataclasses.replace(graph.deployment, chains=tuple(c for c in graph.deployment.chains if c.name == chain))
    return dataclasses.replace(graph, deployment=deployment, positions=positions, links=links, entries={chain: positions[0].index})


def synthetic(graph: Graph, seed: int) -> Costs:
    """Costs by lot, with bodies so large that not all of them fit into one program."""
    r = random.Random(seed)
    names = sorted({stage.mnf.name for stage in graph.stages})
    verified = {name: r.choice([1_000, 200_000, 450_000, 850_000]) for name in names}
    return Costs(40.0, {name: r.uniform(1, 80) for name in names}, verified, ((2, 2.0), (4, r.uniform(2, 5)), (33, r.uniform(5, 20))))


def every(graph: Graph, costs: Costs) -> list[Segments]:
    """Each cut of the order that the verifier takes."""
    order = [p.index for p in graph.positions]
    names = {s.id: s.mnf.name if s.mnf.runs_in == "xdp" else VM for s in graph.stages}
    steps = {p.index: costs.steps(names[p.stage]) for p in graph.positions}
    found = []
    for marks in itertools.product([False, True], repeat=len(order)):
        groups: list[list[int]] = [[]]
        for index, begins in zip(order, marks, strict=True):
            if begins:
                groups.append([])
            groups[-1].append(index)
        if all(sum(steps[i] for i in group) <= MAX_VERIFIED for group in groups) and not behind_vms(graph) & set(groups[0]):
            found.append(Segments(tuple(map(tuple, groups))))
    return found


@pytest.mark.parametrize("seed", range(40))
def test_no_cut_is_more_than_a_twentieth_cheaper(graph: Graph, seed: int) -> None:
    small = cut(graph, "inbound", 8)
    costs = synthetic(small, seed)
    best = min(sum(expected(small, segments, costs).values()) for segments in every(small, costs))
    assert sum(expected(small, cheapest(small, costs), costs).values()) <= 1.05 * best


@pytest.mark.parametrize("seed", range(12))
def test_no_cut_around_vms_is_cheaper_and_the_first_program_has_nothing_behind_one(whole: Graph, seed: int) -> None:
    chain = ("to-branch", "from-branch")[seed % 2]
    small, costs = cut(whole, chain, 9), synthetic(whole, seed)
    found = cheapest(small, costs)
    assert behind_vms(small) and not behind_vms(small) & set(found.groups[0])
    best = min(sum(expected(small, segments, costs).values()) for segments in every(small, costs))
    assert sum(expected(small, found, costs).values()) <= 1.05 * best


def test_chains_with_vms_are_one_program_in_front_of_them_and_one_behind(whole: Graph) -> None:
    first, second = cheapest(whole, SHIPPED).groups
    assert behind_vms(whole) <= set(second) and len(first) > 10


def test_what_fits_is_one_program(graph: Graph) -> None:
    """A hop is never free: without a limit that asks for it there is none."""
    light = Costs(40.0, {}, {}, ((33, 1.0),), other_verified=1_000)
    assert len(segment(graph, "auto", light).groups) == 1


def test_no_program_is_more_than_the_verifier_takes(graph: Graph) -> None:
    costs = Costs(40.0, {}, {"sqli_check": 880_000}, ((33, 1.0),), other_verified=10_000)
    found = segment(graph, "auto", costs)
    assert len(found.groups) > 1
    assert sorted(i for group in found.groups for i in group) == [p.index for p in graph.positions]


def test_what_shall_be_swapped_alone_is_alone(graph: Graph) -> None:
    found = cheapest(graph, SHIPPED, frozenset({"waf.sqli"}))
    own = [p.index for p in graph.positions if p.stage == "waf.sqli"]
    assert all((index,) in found.groups[1:] for index in own)


def test_a_body_beyond_the_limit_is_an_error(graph: Graph) -> None:
    with pytest.raises(GenerateError, match="fits no segmentation"):
        segment(graph, "auto", Costs(40.0, {}, {"sqli_check": MAX_VERIFIED + 1}, ((33, 1.0),)))


def test_the_shipped_costs_know_every_mnf_of_the_example(graph: Graph) -> None:
    names = {stage.mnf.name for stage in graph.stages}
    assert names <= set(SHIPPED.ns) and names <= set(SHIPPED.verified)


def test_hops_are_dearer_the_more_programs_there_are(graph: Graph) -> None:
    whole, each = (expected(graph, segment(graph, level), SHIPPED)["inbound"] for level in ("chain", "mnf"))
    hops = sum(1 for p in graph.positions if p.chain == "inbound")
    assert each - whole == pytest.approx(hops * SHIPPED.hop(33))
