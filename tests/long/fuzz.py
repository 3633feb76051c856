"""Images of unikernels, as processes with sanitizers, under frames that mean harm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.long.campaign import Case
from tests.vm.fuzz import survived


@contextmanager
def images() -> Iterator[Case]:
    yield lambda seed: survived(seed, 4000)
