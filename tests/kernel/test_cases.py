"""Every built-in mNF does what the examples beside it say, however its graph is cut into programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import spec
from ebpfnf.analyse import cases

pytestmark = pytest.mark.kernel
FOLDERS = sorted(path.parent for path in Path(spec.BUILT_IN, "progs").glob("*/mnf.yaml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("granularity", ["mnf", "chain"])
def test_cases(folder: Path, granularity: str) -> None:
    steps, failures = cases.run(folder, granularity)
    assert not failures, "\n" + "\n".join(map(str, failures))
    assert steps
