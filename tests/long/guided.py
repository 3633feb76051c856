"""Images of unikernels under libFuzzer. What it learned stays in the cache for the next run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.guided import seeds
from tests.guided.fuzzer import FAILURES, KEPT, TARGETS, replay, run, shrink
from tests.long.campaign import Case

SECONDS = 60


def case(seed: int) -> int:
    """Fuzzes the target that the seed chooses for a minute; how many inputs that were."""
    target = TARGETS[seed % len(TARGETS)]
    corpus = KEPT / target.name
    for folder in (corpus, FAILURES):
        folder.mkdir(parents=True, exist_ok=True)
    seeds.write(target, corpus)
    done = run(target, corpus, FAILURES, dictionary=seeds.dictionary(target), seed=seed, seconds=SECONDS)
    if done.failure:
        small = shrink(target, done.failure, SECONDS)
        raise AssertionError(f"{replay(target, [small]) or done.what}: python -m tests.guided {target.name} {small.name}")
    return done.executions


@contextmanager
def images() -> Iterator[Case]:
    yield case
