"""A pair of WAN optimizers, as processes with sanitizers, over a line that does what lines do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.long.campaign import Case
from tests.vm.lossy import across


@contextmanager
def lines() -> Iterator[Case]:
    yield lambda seed: across(seed, 1000)
