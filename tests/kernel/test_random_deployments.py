"""Templates in any order, behind any match, with any rules: programs do what the model does. `./test --long` runs thousands of these."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential import GRANULARITIES, compare
from tests.random_deployments import random_subject

pytestmark = pytest.mark.kernel
FRAMES = 500


@pytest.mark.parametrize("seed", range(6))
def test_random_deployment(seed: int, tmp_path: Path) -> None:
    assert compare(random_subject(seed), tmp_path, seed, FRAMES) == FRAMES * len(GRANULARITIES)
