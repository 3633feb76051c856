"""Protects: what was merged, moved or taken out is still counted for the VNF that the files name, in `status` too."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ebpfnf import packets, pipeline, spec
from ebpfnf.agent import flows, manifest
from ebpfnf.agent.private import PrivateCopy
from tests.optimise.random_chains import MNFS

_CHAIN = """
ebpfnf: 1
deployment: twice
ports: {a: {interface: eth0}, b: {interface: eth1}}
vnfs: {one: {vnf: checked}, two: {vnf: checked}}
chains: {c: {on: a, match: {}, path: [one, two], then: {out: b}}}
"""
_VNF = """
vnf: checked
summary: once is enough
mnfs: {hash: {mnf: flow_hash}, check: {mnf: check_ip}, mark: {mnf: mark, dscp: 1}, sizes: {mnf: size_hist}}
"""


@pytest.mark.kernel
def test_inputs_and_drops_are_those_of_the_files(tmp_path: Path):
    (tmp_path / "vnfs").mkdir()
    (tmp_path / "vnfs" / "checked.yaml").write_text(_VNF)
    (tmp_path / "chain.yaml").write_text(_CHAIN)
    shutil.copytree(MNFS / "mark", tmp_path / "mnfs" / "mark")
    deployment = spec.load(tmp_path / "chain.yaml")
    good, bad = packets.build("udp 192.0.2.9:1 > 198.51.100.7:80"), packets.build("udp 127.0.0.1:1 > 198.51.100.7:80")
    seen = {}
    for name, each in (("optimised", deployment), ("as written", replace(deployment, optimise=False))):
        bundle = pipeline.build(each)
        with PrivateCopy(bundle) as copy:
            for now, frame in enumerate([good] * 7 + [bad] * 3, 1):
                copy.run(frame, "a", now)
            counts = [copy.counts()[counter.name] for counter in bundle.counters]
        seen[name] = flows.stage_inputs(manifest.of_bundle(bundle, 1, {}, {}), counts), dict(copy.bundle.certificate)
    assert {step["kind"] for step in seen["optimised"][1]["steps"]} >= {"merge", "drop"}
    inputs = seen["optimised"][0]
    assert inputs == seen["as written"][0]
    assert inputs["one.check"] == 10 and inputs["two.check"] == inputs["two.hash"] == inputs["two.sizes"] == 7
    gone = [p for p in pipeline.build(deployment).positions if p["segment"] < 0]
    assert [(p["stage"], p["served_by"]) for p in gone] == [("one.hash", -1), ("two.hash", 0), ("two.check", 1), ("two.mark", 2)]
