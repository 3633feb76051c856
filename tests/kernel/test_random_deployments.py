"""Templates in any order, behind any match, with any rules: programs do what the model does. `./test --long` runs thousands of these."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.generate import classify
from tests.differential import GRANULARITIES, compare
from tests.random_deployments import random_subject

pytestmark = pytest.mark.kernel
FRAMES = 500


@pytest.mark.parametrize("seed", range(6))
def test_random_deployment(seed: int, tmp_path: Path) -> None:
    assert compare(random_subject(seed), tmp_path, seed, FRAMES) == FRAMES * len(GRANULARITIES)


@pytest.mark.parametrize("seed", (41, 78))
def test_classes_that_are_too_many_for_one_table_are_found_all_the_same(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "JOINT", 0)
    subject = random_subject(seed)
    assert "parts" in "".join(
        table.name for table in classify.classifier(pipeline.expand(subject.deployment(tmp_path)), spec.fields()).tables
    )
    assert compare(subject, tmp_path, seed, FRAMES, ("chain",)) == FRAMES
