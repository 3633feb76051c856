"""Protects: no frame harms an image. The sanitizers watch; `./test --long 30 guest-frames` goes on for as long as you like."""

from __future__ import annotations

import pytest

from tests.vm.fuzz import IMAGES, survived


@pytest.mark.parametrize("seed", range(len(IMAGES)))
def test_frames_that_mean_harm_are_survived(seed: int) -> None:
    assert survived(seed, 100) > 80
