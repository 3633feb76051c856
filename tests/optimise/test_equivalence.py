"""Protects: optimisation never changes the meaning (semantics 25). Two hundred random graphs, and optimisers that are wrong on purpose."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.generate import segment
from ebpfnf.generate.segment import vm_positions
from ebpfnf.model import Bundle, Deployment, Graph
from ebpfnf.optimise import edit
from ebpfnf.optimise.legality import Law
from tests.optimise import equivalence
from tests.optimise.equivalence import CHAINS, Difference, compare
from tests.optimise.random_chains import Files, make

GRAPHS, PACKETS = 200, 1000


@pytest.mark.kernel
def test_two_hundred_random_graphs_do_the_same_optimised_or_not():
    seeds = range(1, GRAPHS // CHAINS + 1)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert sum(pool.map(compare, seeds, [PACKETS] * len(seeds))) == 2 * GRAPHS * PACKETS


@pytest.mark.kernel
def test_random_graphs_with_stages_in_vms_do_the_same_optimised_or_not():
    """Whatever the machines give back, late, twice or not at all, and while they don't serve."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert sum(pool.map(partial(compare, machines=True), (1, 5), (300, 300))) > 4 * CHAINS * 300


def test_the_random_graphs_leave_much_to_do(tmp_path: Path):
    found: Counter[str] = Counter()
    for seed in range(1, 9):
        _, deployment = make(seed, CHAINS, tmp_path)
        graph = pipeline.expand(deployment)
        found.update(step.kind for step in pipeline.shorten(graph, "chain")[1].steps)
        known = pipeline.shorten(pipeline.expand(replace(deployment, flow_cache=8)), "chain")[1]
        found.update(step.kind for step in known.steps if step.kind == "remember")
        found.update("parting" for stage in graph.stages if not stage.mnf.folder)
        found.update("inner" for stage in graph.stages if "." in stage.node)
    assert min(found[kind] for kind in ("merge", "drop", "swap", "unordered", "beside", "parting", "inner", "remember")) >= 5, found


def test_the_random_graphs_with_stages_in_vms_leave_much_to_do_and_much_to_refuse(tmp_path: Path):
    done: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for seed in range(1, 25):
        graph = pipeline.expand(replace(make(seed, CHAINS, tmp_path, machines=True)[1], flow_cache=8))
        chain = {position.index: position.chain for position in graph.positions}
        with_vms = {chain[index] for index in vm_positions(graph)}
        certificate = pipeline.shorten(graph, "chain")[1]
        done.update(step.kind for step in certificate.steps if chain[step.of[0]] in with_vms)
        refused.update(step.kind for step in certificate.refused if "machine" in step.why)
    assert min(done[kind] for kind in ("merge", "drop", "swap", "unordered", "remember")) >= 20 and done["beside"] >= 2, done
    assert min(refused[kind] for kind in ("merge", "swap", "beside", "remember")) >= 4, refused


def _wrong(deployment: Deployment, kind: str) -> Graph:
    """The graph after the first step of this kind that is not legal, but could be done."""
    graph = pipeline.expand(deployment)
    law = Law(graph, spec.fields())
    for position in graph.positions:
        targets = law.goes_on_to(position.index)
        if len(targets) != 1:
            continue
        (second,) = targets
        if kind == "drop" and "writes, is used" in law.no_drop(position.index):
            return edit.remove(graph, position.index)
        if kind == "swap" and second >= 0 and len(law.goes_on_to(second)) == 1 and "counts in" in law.no_swap(position.index, second):
            return edit.swap(graph, position.index, second)
    raise LookupError(kind)


@pytest.mark.kernel
@pytest.mark.parametrize("kind", ["drop", "swap"])
def test_a_wrong_step_shows_and_the_smallest_files_that_show_it_are_told(kind, monkeypatch, tmp_path):
    def build(deployment: Deployment, granularity: str) -> Bundle:
        try:
            graph = _wrong(deployment, kind)
        except LookupError:
            graph = pipeline.expand(deployment)
        return pipeline.assemble(graph, segment(graph, granularity))

    monkeypatch.setattr(equivalence, "CHAINS", 2)
    able = (seed for seed in range(2, 200) if _can(seed, kind, tmp_path))
    with pytest.raises(Difference, match=r"seed \d+: .*optimised.*the model says|at the end") as shown:
        for seed, _ in zip(able, range(5), strict=False):  # what is forbidden does not show for each graph and trace
            compare(seed, 300, build)
    text = str(shown.value)
    assert text.count("path") == 1 and "# chain.yaml" in text and ("# vnfs/" in text or '"then": "route"' in text)


def _can(seed: int, kind: str, folder: Path) -> bool:
    try:
        _wrong(make(seed, 2, folder)[1], kind)
    except LookupError:
        return False
    return True


@pytest.mark.kernel
@pytest.mark.parametrize("gone", [0, 2])
def test_a_wrong_step_over_a_vm_shows(gone, tmp_path):
    """Taken out: a mark that is overwritten, but the machine sees it; one that stood there already, but not in what comes back."""
    mark = {"mnf": "mark", "dscp": 10}
    nodes = {"n0": mark, "n1": {"mnf": "tcp_reasm"}, "n2": mark}
    files = Files({"t": (nodes, ["n0 -> n1", "n1 -> n2", "n2 -> exit"])}, {"c0": ((("x", "t"),), "forward", "pass")})

    def build(deployment: Deployment, granularity: str) -> Bundle:
        graph = edit.remove(pipeline.expand(deployment), gone)
        return pipeline.assemble(graph, segment(graph, granularity))

    deployment = spec.load(files.write(tmp_path))
    assert equivalence.run(deployment, 3, 400) > 800
    with pytest.raises(Difference, match="optimised"):
        equivalence.run(deployment, 3, 400, build)


def test_files_shrink_to_what_still_differs():
    files = Files({}, {f"c{k}": (tuple((f"x{k}{i}", "t") for i in range(3)), "forward", "pass") for k in range(3)})

    def differs(less: Files) -> None:
        if any("x11" in dict(path) for path, *_ in less.chains.values()):
            raise Difference("it does", "")

    smaller = equivalence.shrink(files, Difference("it does", "c1"), differs)
    assert smaller.chains == {"c1": ((("x11", "t"),), "forward", "pass")}
