"""From chain.yaml to a bundle and into the kernel: how long it takes, by the number of mNFs, with and without what was compiled before."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import chains, scale
from benchmarks.measure import ROUNDS, Figure, interleaved, point
from benchmarks.memory import Memory
from ebpfnf import pipeline, spec
from ebpfnf.model import Bundle

_EXAMPLE = "the example"


def run(rounds: int = ROUNDS, counts: Sequence[int] = (1, 8, 20, 40)) -> list[Figure]:
    """Small mNFs that each count in a table of their own; and the example, which has an automaton."""
    files = {str(count): Path(scale.light(count, "counting").file) for count in counts} | {_EXAMPLE: chains.DC_EDGE}
    with tempfile.TemporaryDirectory() as folder, _environment(XDG_CACHE_HOME=folder):
        bundles = {name: pipeline.build(spec.load(file)) for name, file in files.items()}  # fills the cache
        arms: dict[str, Callable[[], None]] = {}
        for name, file in files.items():
            arms[f"cold:{name}"] = partial(_build, file, "off")
            arms[f"cached:{name}"] = partial(_build, file, "")
            arms[f"loaded:{name}"] = partial(_load, bundles[name])
        samples = interleaved(arms, min(3, rounds))
    words = {"cold": "compiled", "cached": "compiled before", "loaded": "verified, filled, loaded"}
    found: list[Figure] = []
    for arm, times in samples.items():
        what, _, name = arm.partition(":")
        mnfs = len(bundles[name].stages)
        line = f"{words[what]}{', ' + _EXAMPLE if name == _EXAMPLE else ''}"
        found.append(point(line, "mNFs", mnfs, times, "ms"))
    return found


def _build(file: Path, cache: str) -> None:
    with _environment(EBPFNF_CACHE=cache):
        pipeline.build(spec.load(file))


def _load(bundle: Bundle) -> None:
    with Memory({"": bundle}):
        pass


@contextmanager
def _environment(**given: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
