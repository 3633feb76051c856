"""A Ctrl-C ends a command without a traceback, while its modules are imported too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

INTERRUPTS = """
import os, signal, sys
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "%s":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
"""

WAITS = """
import os, sys, time
if "benchmarks" in sys.orig_argv:
    import benchmarks.plan
    def run():
        try:
            open(os.environ["BEGUN"], "w").write("begun")
            time.sleep(60)
        finally:
            time.sleep(0.5)
            open(os.environ["BEGUN"], "a").write(", cleared up")
    benchmarks.plan.BENCHMARKS["plan-40"] = run
"""


@pytest.mark.parametrize(("module", "code"), [("typer", -signal.SIGINT), ("ebpfnf.pipeline", 130)])
def test_a_ctrl_c_while_a_module_is_imported(module: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS % module)
    argv = [sys.executable, "-m", "ebpfnf", "build", "examples/hot-swap/chain.yaml", "--out", str(tmp_path / "out")]
    path = f"{tmp_path}:{os.getcwd()}"
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="missing: root (benchmarks want it)")
def test_a_ctrl_c_while_benchmarks_are_imported(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS % "benchmarks.data_plane")
    path = f"{tmp_path}:{os.getcwd()}"
    argv = [sys.executable, "-m", "ebpfnf", "bench", "plan-40"]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="missing: root (benchmarks want it)")
def test_a_ctrl_c_reaches_the_benchmark_that_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WAITS)
    argv = [sys.executable, "-m", "ebpfnf", "bench", "plan-40"]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.getcwd()}", "BEGUN": str(tmp_path / "begun")}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")
    assert (tmp_path / "begun").read_text() == "begun, cleared up"
