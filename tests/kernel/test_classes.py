"""Protects: classes are of what was received, each is counted, and `status` knows what entered the stages in and behind them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ebpfnf import packets, pipeline, spec
from ebpfnf.agent import flows, manifest
from ebpfnf.agent.private import PrivateCopy
from tests.optimise.random_chains import MNFS

pytestmark = pytest.mark.kernel
_CHAIN = """
ebpfnf: 1
deployment: parted
ports: {a: {interface: eth0}, b: {interface: eth1}}
vnfs: {voice: {vnf: marked}, web: {vnf: checked}, stats: {vnf: monitor}}
chains:
  c:
    on: a
    match: {}
    path:
      - voice
      - classes:
          web: {match: {ip.proto: tcp, l4.dport: 80}, path: [web, {classes: {near: {match: {ip.src: 192.0.2.0/24}, path: []}}}]}
          voice: {match: {ip.dscp: 46}, path: []}
      - stats
    then: {out: b}
"""
_SENT = (
    ("tcp 192.0.2.9:1 > 198.51.100.7:80", 4, "chain.c.out"),
    ("tcp 203.0.113.5:1 > 198.51.100.7:80 dscp 46", 3, "chain.c.out"),
    ("tcp 127.0.0.1:1 > 198.51.100.7:80", 2, "web.martian_source"),
    ("udp 192.0.2.9:1 > 198.51.100.7:80 dscp 46", 5, "chain.c.out"),
    ("udp 192.0.2.9:1 > 198.51.100.7:80", 6, "chain.c.out"),  # 46 when it comes to the classes: `voice` marks it
)


def test_classes_are_of_what_was_received_and_counted(tmp_path: Path) -> None:
    (tmp_path / "vnfs").mkdir()
    (tmp_path / "vnfs" / "marked.yaml").write_text("vnf: marked\nsummary: all is voice\nmnfs: {mark: {mnf: mark, dscp: 46}}\n")
    (tmp_path / "vnfs" / "checked.yaml").write_text("vnf: checked\nsummary: check\nmnfs: {check: {mnf: check_ip}}\n")
    (tmp_path / "chain.yaml").write_text(_CHAIN)
    shutil.copytree(MNFS / "mark", tmp_path / "mnfs" / "mark")
    deployment = spec.load(tmp_path / "chain.yaml")
    for granularity in ("chain", "mnf"):
        bundle = pipeline.build(deployment, granularity)
        with PrivateCopy(bundle) as copy:
            for text, times, counter in _SENT:
                for _ in range(times):
                    assert copy.run(packets.build(text), "a", 1).counter.name == counter
            counts = copy.counts()
        inputs = flows.stage_inputs(manifest.of_bundle(bundle, 1, {}, {}), [counts[counter.name] for counter in bundle.counters])
        assert {name: counts[f"chain.c.{name}"] for name in ("web", "near", "voice")} == {"web": 9, "near": 4, "voice": 5}
        assert inputs["web.check"] == 9 and inputs["chain.c.parts_2"] == 7 and inputs["chain.c.parts_1"] == 20
        assert inputs["stats.sizes"] == inputs["stats.subnets"] == 18
