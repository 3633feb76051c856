"""What a demonstration shows: steps, what was claimed and whether it held. Plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

_SET_BACK = " " * 5


class Screen:
    """Counts the claims that did not hold."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = 160  # a log is not as wide as some terminal that isn't there
        self._number = 0
        self.room = self._console.width - len(_SET_BACK)  # columns for what commands say
        self.failed: list[str] = []

    def title(self, text: str) -> None:
        """The first line."""
        self._console.print(f"[bold]{text}[/]\n")

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """A step with a number; on a terminal something moves while it lasts."""
        self._number += 1
        began = time.monotonic()
        self._console.print(f"[bold cyan]{self._number}.[/] [bold]{text}[/]")
        with self._console.status("", spinner="line"):
            yield
        self._console.print(f"   [dim]{time.monotonic() - began:.1f} s[/]")

    def claim(self, holds: bool, text: str, otherwise: object = "") -> None:
        """A line with a tick or a cross; `otherwise`: what was seen instead."""
        if holds:
            self._console.print(f"   [green]✓[/] {escape(text)}")
            return
        self.failed.append(text)
        self._console.print(f"   [red]✗ {escape(text)}[/]" + (f": {escape(str(otherwise))}" if otherwise != "" else ""), soft_wrap=True)

    def command(self, words: Sequence[str]) -> None:
        """What a user would type."""
        self._console.print(f"   [dim]$ {escape(' '.join(words))}[/]", soft_wrap=True)

    def output(self, text: str, lines: int = 0) -> None:
        """What a command said, its first `lines` lines."""
        all_lines = text.rstrip().splitlines()
        shown = all_lines[:lines] if lines else all_lines
        for line in shown:
            self._console.print(_SET_BACK + line, markup=False, style="dim", no_wrap=True, overflow="ellipsis")
        if len(shown) < len(all_lines):
            self._console.print(f"     ... {len(all_lines) - len(shown)} more lines", style="dim")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A short table; numbers stand right."""
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        kept = [list(row) for row in rows]
        for column, name in enumerate(head):
            numbers = all(isinstance(row[column], int) for row in kept)
            table.add_column(name, justify="right" if numbers else "left")
        for row in kept:
            table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
        self._console.print(Padding(table, (0, 0, 0, 5), expand=False))

    def say(self, text: str) -> None:
        """A line of its own."""
        self._console.print(text, soft_wrap=True, markup=False)
