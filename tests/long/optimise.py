"""Random graphs: the interpreter, the graph as written and the optimised one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.long.campaign import Case
from tests.optimise.equivalence import compare


@contextmanager
def graphs() -> Iterator[Case]:
    yield lambda seed: compare(seed, 1000, machines=seed % 4 == 3)
