"""Protects: what the files may say of optimisation."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.errors import SpecErrors

_CHAIN = """ebpfnf: 1
deployment: d
ports: {a: {interface: eth0}}
vnfs: {one: {vnf: router}, two: {vnf: router}}
chains: {c: {on: a, match: {}, path: [one, two], then: pass}}
"""


@pytest.mark.parametrize(("line", "steps"), [("", True), ("optimise: true\n", True), ("optimise: false\n", False)])
def test_a_deployment_may_be_built_as_it_is_written(line, steps, tmp_path: Path):
    (tmp_path / "chain.yaml").write_text(_CHAIN + line)
    expanded = pipeline.expand(spec.load(tmp_path / "chain.yaml"))
    after, certificate = pipeline.shorten(expanded, "chain")
    assert bool(certificate.steps) == steps and (after is expanded) == (not steps)


def test_what_is_always_written_is_written(tmp_path: Path):
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "mnf.c").write_text("MNF(struct pkt *pkt) { return NEXT; }\n")
    (folder / "mnf.yaml").write_text("mnf: odd\nsummary: odd\nwrites: [m.hash]\nwrites_always: [m.hash, m.class]\nverdicts: [NEXT]\n")
    with pytest.raises(SpecErrors, match=r"mnf.yaml:4:\d+: 'm.class' is always written \(then 'writes:' names it too\)"):
        spec.load_mnf(folder)
