"""A profile protects from reckoning with numbers of another machine: it covers every mNF, is kept, found again, and read with care."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.analyse import cost, profile
from ebpfnf.errors import EbpfnfError, GenerateError
from ebpfnf.generate import costs
from ebpfnf.generate.segment import expected, segment

DC_EDGE = Path(__file__).resolve().parents[2] / "examples" / "dc-edge" / "chain.yaml"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where profiles are kept in this test."""
    file = tmp_path / "state" / "profile.json"
    monkeypatch.setattr(costs, "path", lambda: file)
    return file


@pytest.mark.kernel
def test_every_mnf_of_a_deployment_is_measured() -> None:
    deployment = spec.load(DC_EDGE.parents[1] / "hot-swap" / "chain.yaml")
    found = profile.measure(deployment)
    names = {stage.mnf.name for stage in pipeline.expand(deployment).stages}
    assert set(found.ns) == set(found.verified) == names
    assert all(ns >= 0 for ns in found.ns.values()) and found.entry > 0
    together = [ns * (programs - 1) for programs, ns in found.hops]
    assert together == sorted(together) and together[0] > 0


def test_a_deployment_without_packets_is_an_error() -> None:
    with pytest.raises(EbpfnfError, match="no packet to measure with"):
        profile.measure(dataclasses.replace(spec.load(DC_EDGE), expect=()))


def test_a_profile_is_found_again(kept: Path) -> None:
    mine = costs.Costs(12.5, {"acl_5t": 3.25}, {"acl_5t": 99}, ((4, 1.5), (33, 2.5)), host="here")
    assert costs.store(mine) == kept
    assert costs.known() == mine and costs.known().host == "here"


def test_without_a_profile_the_shipped_one_counts(kept: Path) -> None:
    assert costs.known() is costs.SHIPPED


def test_a_profile_of_another_version_is_not_used(kept: Path) -> None:
    costs.store(costs.SHIPPED)
    kept.write_text(kept.read_text().replace('"version": 1', '"version": 0'))
    assert costs.known() is costs.SHIPPED


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "entry": 1}', '{"version": 1, "colour": "red"}'])
def test_a_broken_profile_is_an_error_that_says_so(kept: Path, text: str) -> None:
    kept.parent.mkdir()
    kept.write_text(text)
    with pytest.raises(GenerateError, match=r"profile\.json' is no profile"):
        costs.known()


@pytest.mark.parametrize("file", ["chain.yaml", "whole.yaml"])
def test_a_bundle_costs_what_its_graph_does(file: str) -> None:
    deployment = dataclasses.replace(spec.load(DC_EDGE.with_name(file)), optimise=False)
    graph = pipeline.expand(deployment)
    for level in ("chain", "vnf"):
        wanted = expected(graph, segment(graph, level), costs.SHIPPED)
        assert cost.expected(pipeline.build(deployment, level), costs.SHIPPED) == pytest.approx(wanted)
