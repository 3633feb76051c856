"""Random deployments against the model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.differential import compare
from tests.long.campaign import Case
from tests.random_deployments import random_subject


@contextmanager
def deployments() -> Iterator[Case]:
    def case(seed: int) -> int:
        with tempfile.TemporaryDirectory() as folder:
            return compare(random_subject(seed), Path(folder), seed, 1000)

    yield case
