"""Protects: what `plan --explain` tells is what was done, and the drawings show every block once and none over another."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import pytest

from ebpfnf import pipeline
from ebpfnf.cli import explain, svg
from ebpfnf.generate import segment
from tests.optimise.random_chains import MNFS, make
from tests.subjects import EXAMPLE

_TWICE = """
ebpfnf: 1
deployment: twice
ports: {a: {interface: eth0}, b: {interface: eth1}}
vnfs:
  one: {vnf: marker}
  two: {vnf: marker}
chains:
  c: {on: a, match: {}, path: [one, two], then: {out: b}}
  empty: {on: b, match: {}, path: [], then: pass}
"""
_MARKER = "vnf: marker\nsummary: mark, then look\nmnfs: {hash: {mnf: flow_hash}, check: {mnf: check_ip}, mark: {mnf: mark, dscp: 1}}\n"


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    (tmp_path / "vnfs").mkdir()
    (tmp_path / "vnfs" / "marker.yaml").write_text(_MARKER)
    (tmp_path / "chain.yaml").write_text(_TWICE)
    shutil.copytree(MNFS / "mark", tmp_path / "mnfs" / "mark")
    return tmp_path / "chain.yaml"


def test_everything_that_was_done_is_told(twice: Path) -> None:
    found = explain.explain(twice, "")
    chain = found["chains"][0]
    assert (chain["before"]["blocks"], chain["after"]["blocks"]) == (15, 7)
    assert [row["stages"] for row in found["shared"]] == [[f"two.{n}", f"one.{n}"] for n in ("hash", "check", "mark")]
    assert [row["stages"] for row in found["dropped"]] == [["one.hash"]]
    assert [stage["stage"] for stage in chain["after"]["stages"]] == ["one.check", "one.mark"]
    assert found["chains"][1]["after"]["stages"] == []


def test_words_for_a_person(twice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain.show(twice, "", None, as_json=False)
    shown = capsys.readouterr().out
    assert "c: 15 blocks before, 7 after" in shown
    assert "two.check takes the result of one.check" in shown and "nothing uses 'm.hash' behind it" in shown
    explain.show(EXAMPLE, "vnf", None, as_json=False)
    shown = capsys.readouterr().out
    assert "edge.l2 stays behind stats.subnets" in shown and "'stats.subnets' counts in 'stats.subnets.counts'" in shown
    assert "stats.sizes ∥ stats.subnets ∥ waf.http" in shown and "seg_3" in shown


def test_what_a_vm_between_forbids_is_told_by_the_field(twice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice.write_text(_TWICE.replace("  two:", "  unpack: {vnf: unpacker}\n  two:").replace("[one, two]", "[one, unpack, two]"))
    (twice.parent / "vnfs" / "unpacker.yaml").write_text("vnf: unpacker\nsummary: a VM\nmnfs: {it: {mnf: decompress}}\n")
    found = explain.explain(twice, "")
    assert [b["stage"] for b in found["chains"][0]["after"]["stages"] if b["vm"]] == ["unpack.it"] and not found["shared"]
    why = {row["stages"][0]: row["why"] for row in found["refused"] if row["step"] == "merge"}
    assert why["two.check"] == "the machine of 'unpack.it' may give back another 'ip.csum', which 'two.check' uses"
    assert "'ip.dscp', which 'two.mark' uses" in why["two.mark"]
    explain.show(twice, "", None, as_json=False)
    told = capsys.readouterr().out
    assert "unpack.it (VM)" in told and "may be another packet" in told


def test_an_unoptimised_deployment_says_so(twice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice.write_text(twice.read_text() + "optimise: false\n")
    found = explain.explain(twice, "")
    assert not found["optimised"] and not found["shared"]
    explain.draw(found)
    assert "'optimise: false'" in capsys.readouterr().err


def test_drawings_hold_every_block_once_and_none_over_another(twice: Path, tmp_path: Path) -> None:
    names = [path.name for path in svg.write(explain.explain(twice, ""), tmp_path / "drawn")]
    assert names == ["c-before.svg", "c-after.svg", "empty-before.svg", "empty-after.svg"]
    for seed in (1, 2):
        _, deployment = make(seed, 8, tmp_path)
        before = pipeline.expand(deployment)
        after, certificate = pipeline.shorten(before, "chain")
        found = explain.explained(before, after, certificate, segment(after, "chain"))
        for path, chain, when in zip(svg.write(found, tmp_path / "drawn"), _doubled(found["chains"]), ("before", "after") * 8, strict=True):
            _look(path, chain[when]["blocks"])


def _doubled(chains: list[dict[str, object]]) -> list[dict[str, object]]:
    return [chain for chain in chains for _ in range(2)]


def _look(path: Path, blocks: int) -> None:
    root = ET.fromstring(path.read_text())
    boxes = [[int(box.get(key, "")) for key in ("x", "y", "width", "height")] for box in root if box.get("rx")]
    assert len(boxes) == blocks
    for (x1, y1, w1, h1), (x2, y2, w2, h2) in combinations(boxes, 2):
        assert x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1, path
    for x, y, width, height in boxes:
        assert x >= 0 and x + width <= int(root.get("width", "")) and y + height <= int(root.get("height", "")), path
