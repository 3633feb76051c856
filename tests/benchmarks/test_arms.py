"""Benchmarks protect the published figures: arms that differ in what they make are never timed, a result has its shape and can be drawn."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import chains, plots, scale, summary, two_cpus
from benchmarks.frames import Mix
from benchmarks.measure import Figure, figure, point
from benchmarks.memory import Memory

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.kernel
def test_arms_that_make_something_else_are_not_timed() -> None:
    deployment = scale.light(1, "light")
    same = chains.build(deployment)
    other = chains.build(dataclasses.replace(deployment, chains=(dataclasses.replace(deployment.chains[0], then="pass"),)))
    with Memory({"one": same, "again": same, "other": other}) as rig:
        rig.verify(Mix(), ["one", "again"], 64)
        with pytest.raises(AssertionError, match=r"'other' makes .* of packet 0, 'one' makes"):
            rig.verify(Mix(), ["one", "other"], 64)


@pytest.mark.kernel
def test_a_series_says_what_grows() -> None:
    found = scale.light_mnfs(rounds=1, counts=(1, 4))
    assert [(f.x, f.line) for f in found if f.x] == [(1, "light"), (4, "light"), (1, "counting"), (4, "counting")]
    assert all(f.low == f.median == f.high > 0 for f in found if f.x)  # one round
    assert [f.goal for f in found if not f.x] == [1.0, 1.0]


def test_what_two_cpus_counted_must_be_what_they_were_given() -> None:
    two_cpus._exact({"exits": 5}, {"exits": 12}, 7)
    with pytest.raises(AssertionError, match="exits counted 6 of 7 packets"):
        two_cpus._exact({"exits": 5}, {"exits": 11}, 7)


def test_kept_results_make_the_same_drawing_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    series = [point("direct", "rules", x, [x + 5.0, x + 6.0], "ns") for x in (10, 1000)]
    bars = [figure("by hand", [200.0, 210.0], "ns"), figure("ratio", [1.1], "x")]
    for name, figures in {"acl": series, "bench": bars}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps([dataclasses.asdict(f) for f in figures]))
    drawn = plots.draw(tmp_path)
    first = [file.read_bytes() for file in drawn]
    assert [file.name for file in drawn] == ["acl.svg", "bench.svg"]
    assert [file.read_bytes() for file in plots.draw(tmp_path)] == first


def test_a_row_of_the_readme_is_what_was_kept(tmp_path: Path) -> None:
    figures = [figure("ours / theirs, IPv4", [0.25, 0.2, 0.5], "x", 0.125), figure("other", [12.3], "ms", 40.0)]
    (tmp_path / "peer.json").write_text(json.dumps([dataclasses.asdict(f) for f in figures]))
    assert summary.Row("ratio", "peer", "ours").line(tmp_path) == "| ratio | 0.25 (0.20 to 0.50) | 0.12, missed | peer |"
    assert summary.Row("cheaper", "peer", "ours", inverse=True).line(tmp_path) == "| cheaper | 4× (2× to 5×) | 8×, missed | peer |"
    assert summary.Row("time", "peer", "other").line(tmp_path) == "| time | 12 ms | 40 ms | peer |"
    for missing in (summary.Row("", "peer", "o"), summary.Row("", "peer", "nothing"), summary.Row("", "nobody", "ours")):
        with pytest.raises(LookupError, match="no figure"):
            missing.line(tmp_path)


def test_a_goal_is_met_or_missed() -> None:
    assert figure("r", [0.9, 1.0, 1.3], "x", 1.0).met is True
    assert figure("r", [0.9, 1.1, 1.3], "x", 1.0).met is False
    assert Figure("r", 1, 1, 1, 1, "x").met is None


def test_a_name_that_is_no_benchmark_is_wrong_usage() -> None:
    done = subprocess.run([sys.executable, "-m", "ebpfnf.cli.main", "bench", "bench5"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 64
    assert "no benchmark bench5; there are: fused-vs-handwritten, " in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="runs as somebody else")
def test_without_root_nothing_is_measured() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "granularity"], capture_output=True, text=True, cwd=ROOT, user=65534, env={})
    assert (done.returncode, done.stdout) == (77, "")
    assert done.stderr.startswith("error: benchmarks load programs")
