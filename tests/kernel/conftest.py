"""A bpffs of its own for each test that pins: nothing of the machine's is touched, nothing is left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def bpffs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The mount point of a new bpffs, which EBPFNF_BPFFS names."""
    place = tmp_path / "bpf"
    place.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(place)], check=True)
    monkeypatch.setenv("EBPFNF_BPFFS", str(place))
    try:
        yield str(place)
    finally:
        subprocess.run(["umount", str(place)], check=True)
