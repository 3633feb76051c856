"""Protects: what ./demo claims holds, it says so truthfully, and it leaves nothing behind."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from ebpfnf.lab import labs
from ebpfnf.lab.screen import Screen


@pytest.fixture
def bpffs(tmp_path: Path):
    """Of its own: nobody else's deployment of the same name is in the way."""
    folder = tmp_path / "bpf"
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.lab
def test_the_demo_holds(bpffs: Path) -> None:
    environment = os.environ | {"EBPFNF_BPFFS": str(bpffs)}
    done = subprocess.run([sys.executable, "-m", "ebpfnf.lab.demo"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout and done.stdout.count("✓") >= 41
    assert "2,000 requests, 0 failed, every page byte for byte" in done.stdout
    assert "…" not in done.stdout, "what commands say fits beside the margin"
    assert "\x1b" not in done.stdout, "no colours where there is no terminal"
    assert not {"demo", "demo-swap"} & set(labs()), "those of others may come and go"
    assert not [path for path in bpffs.rglob("*") if not path.is_dir() and path.suffix != ".debug"]  # those are the kernel's


def test_a_claim_that_does_not_hold_is_shown_and_counted() -> None:
    seen = io.StringIO()
    screen = Screen(Console(file=seen))
    with screen.step("a step"):
        screen.claim(True, "fine")
        screen.claim(False, "[bold]wrong", ["[seen]"])
        screen.output("one\ntwo\nthree", lines=2)
    assert screen.failed == ["[bold]wrong"]
    assert "✗ [bold]wrong: ['[seen]']" in seen.getvalue() and "... 1 more lines" in seen.getvalue()
