"""A Ctrl-C ends a command without a traceback, while its modules are imported too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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


@pytest.mark.parametrize(("module", "code"), [("typer", -signal.SIGINT), ("ebpfnf.pipeline", 130)])
def test_a_ctrl_c_while_a_module_is_imported(module: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS % module)
    argv = [sys.executable, "-m", "ebpfnf", "build", "examples/hot-swap/chain.yaml", "--out", str(tmp_path / "out")]
    path = f"{tmp_path}:{os.getcwd()}"
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert (done.returncode, done.stderr) == (code, "")
