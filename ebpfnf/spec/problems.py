"""Errors are collected, so that one run names them all."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ebpfnf.errors import EbpfnfError, SpecError, SpecErrors, Where

SHOWN = 60
MAX_ERRORS = 100  # of one file are told, the rest are counted


@dataclass(slots=True)
class Problems:
    """What was found wrong so far, in any number of files."""

    texts: dict[str, SpecError] = field(default_factory=dict)  # the same error at the same place counts once
    per_file: Counter[str] = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)  # in the order in which they were read

    def add(self, what: str, where: Where | None = None, cure: str = "") -> None:
        """Note an error."""
        error = SpecError(what, where, cure)
        file, text = where.file if where else "", str(error)
        if text not in self.texts:
            self.per_file[file] += 1
            if self.per_file[file] <= MAX_ERRORS:
                self.texts[text] = error

    @property
    def found(self) -> list[SpecError]:
        """The errors so far."""
        return list(self.texts.values())

    def count(self) -> int:
        """How many errors there are so far."""
        return self.per_file.total()

    def reading(self, file: str) -> None:
        """A file is being read: its errors come behind those of the files before it."""
        if file not in self.files:
            self.files.append(file)

    def raise_any(self) -> None:
        """Raise SpecErrors with all that was found, in file order; nothing when nothing was."""
        if self.texts:
            more = [SpecError(f"{n - MAX_ERRORS} errors more", Where(file)) for file, n in self.per_file.items() if n > MAX_ERRORS]
            raise SpecErrors((*sorted(self.texts.values(), key=self._place), *more))

    def _place(self, error: EbpfnfError) -> tuple[int, int, int]:
        where = error.where or Where("")
        order = self.files.index(where.file) if where.file in self.files else len(self.files)
        return order, where.line, where.column


def quote(value: object) -> str:
    """A value as an error shows it: in quotes, short, without anything that a terminal would obey or a reader mistake."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    shown = text[:SHOWN].encode("unicode_escape").decode("ascii")
    return f"'{shown}{'...' if len(text) > SHOWN else ''}'"


def listing(names: Iterable[str]) -> str:
    """Names in a row for a person."""
    return ", ".join(names) or "none"


def meant(word: str, known: Iterable[str], kind: str = "") -> str:
    """The cure for an unknown name: the nearest known ones, else all of them."""
    names = list(known)
    near = difflib.get_close_matches(word[:SHOWN], names, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    shown = listing(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"{kind or 'known'}: {shown}"
