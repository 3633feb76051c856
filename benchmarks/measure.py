"""How things are measured: interleaved rounds, medians with their range."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "9"))
_FIRST, _TRIES, _NEAR = 500, 6, 1.25  # loops to know the best by, samples at most, how near to the best is good enough


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured quantity: median, minimum and maximum over `rounds`, in `unit`, and the goal that it is held against."""

    name: str
    median: float
    low: float
    high: float
    rounds: int
    unit: str
    goal: float | None = None  # at most this much
    x: float | None = None  # of a series: what grows, and the line that it belongs to
    line: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        return None if self.goal is None else self.median <= self.goal


class Unavailable(Exception):
    """What a benchmark needs is not on this machine."""


def figure(name: str, samples: Sequence[float], unit: str, goal: float | None = None) -> Figure:
    """The samples of one quantity as a figure."""
    return Figure(name, statistics.median(samples), min(samples), max(samples), len(samples), unit, goal)


def point(line: str, what: str, x: float, samples: Sequence[float], unit: str) -> Figure:
    """A point of a series: `x` of `what`."""
    name = ", ".join(part for part in (f"{x:,g} {what}" if x < 1e6 else f"{x / 1e6:g}M {what}", line) if part)
    return Figure(name, statistics.median(samples), min(samples), max(samples), len(samples), unit, x=x, line=line or what)


def ratio(name: str, over: Sequence[float], under: Sequence[float], goal: float | None = None) -> Figure:
    """One quantity by another, round by round."""
    return figure(name, [a / b for a, b in zip(over, under, strict=True)], "x", goal)


class Pace:
    """Samples taken while this CPU is as fast as it can be: beside somebody else's work on its core, here or in another machine of the same
    host, all takes up to twice as long, for tenths of a second. An empty loop before and after tells: such a sample is taken again.
    """

    def __init__(self) -> None:
        self._best = min(_spin() for _ in range(_FIRST))

    def steady(self, sample: Callable[[], float]) -> float:
        """A sample; of many that were all disturbed the one beside the quickest loops."""
        least, found = float("inf"), 0.0
        for _ in range(_TRIES):
            before, value, after = _spin(), sample(), _spin()
            slowest = max(before, after)
            if slowest < least:
                least, found = slowest, value
            self._best = min(self._best, before, after)
            if least <= _NEAR * self._best:
                break
        return found


def _spin() -> int:
    """Ns that an empty loop takes at least."""
    times = []
    for _ in range(5):
        began = time.thread_time_ns()
        for _ in range(5000):
            pass
        times.append(time.thread_time_ns() - began)
    return min(times)


def interleaved(arms: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each arm, one call of each per round, there and back (ABBA) so that drift hits all alike."""
    samples: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds):
        order = list(arms) if number % 2 == 0 else list(reversed(arms))
        for name in order:
            began = time.perf_counter()
            arms[name]()
            samples[name].append((time.perf_counter() - began) * 1e3)
    return samples
