"""docs/long-runs.md: one row a campaign and run, appended, never rewritten."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parents[2] / "docs" / "long-runs.md"
HEAD = """# Long runs

Appended by `./test --long MINUTES`. A seed makes one case, the same one each time: `./test --long 1 --seed 17 NAME` begins at 17.
Without `--seed` a run goes on where the last one of that name ended.

| what | seeds | cases | checks | failures |
| --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What a run of a campaign did; `failures` are (seed, what went wrong)."""

    name: str
    first: int
    cases: int
    checks: int
    failures: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        words = "; ".join(f"{seed}: {what}" for seed, what in self.failures[:5]).replace("|", "/")
        failed = f"{len(self.failures)} ({words})" if self.failures else "0"
        return f"| {self.name} | {self.first} to {self.first + self.cases - 1} | {self.cases} | {self.checks} | {failed} |"


def next_seed(name: str, file: Path = FILE) -> int:
    """The first seed behind all that the record has of that name."""
    text = file.read_text() if file.exists() else ""
    return max((int(end) + 1 for end in re.findall(rf"^\| {re.escape(name)} \| [0-9]+ to ([0-9]+) \|", text, re.M)), default=1)


def append(row: Row, file: Path = FILE) -> None:
    """Adds the row; a run without cases leaves none."""
    if not row.cases:
        return
    if not file.exists():
        file.write_text(HEAD)
    with file.open("a") as record:
        record.write(f"{row}\n")
