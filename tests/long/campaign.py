"""What the runner runs: a campaign makes a case from a number, and the same number makes the same case."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

Case = Callable[[int], int]
"""Takes the seed, returns how many checks were made; any exception is a failure."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """`start` sets up what all cases share and is left at the end, whatever happened."""

    name: str
    what: str
    start: Callable[[], AbstractContextManager[Case]]
    root: bool = False
