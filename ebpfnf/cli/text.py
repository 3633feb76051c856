"""All that the command line prints: results to stdout, what is said along the way to stderr. rich is imported when something is drawn."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ebpfnf.errors import CompileErrors, EbpfnfError, SpecErrors, VerifierError

if TYPE_CHECKING:
    from rich.console import Console


class Output(StrEnum):
    """How results are printed (`-o`)."""

    text = "text"
    json = "json"


def console(stderr: bool = False) -> Console:
    """Where to draw; a pipe gets plain lines, and tables as wide as EBPFNF_COLUMNS says, else wide ones."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    said = os.environ.get("EBPFNF_COLUMNS", "")
    width = None if stream.isatty() else int(said) if said.isdigit() and int(said) else 160
    return Console(stderr=stderr, highlight=False, soft_wrap=not stream.isatty(), width=width)


def get_ready_to_draw() -> None:
    """Import what draws, while something else is waited for."""
    from rich import box, console, table  # noqa: F401


def line(words: str) -> None:
    """A plain line of the result."""
    print(words)


def counted(things: Sized, noun: str) -> str:
    """`3 programs`, `1 program`."""
    return f"{len(things):,} {noun}{'' if len(things) == 1 else 's'}"


def note(words: str) -> None:
    """Something by the way, for a person."""
    print(words, file=sys.stderr)


def as_json(value: Any) -> None:
    """The result for a program."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()


def json_rows(name: str, rows: Iterable[Any], summary: Callable[[], Mapping[str, Any]]) -> None:
    """{name: [rows], "summary": ...}, each row printed as it comes: no list in memory, and what came before an error is there."""
    print(f'{{"{name}": [', end="")
    separator = "\n"
    try:
        for row in rows:
            print(separator + json.dumps(row, ensure_ascii=False), end="")
            separator = ",\n"
    except EbpfnfError as problem:
        print('\n], "errors": ' + json.dumps([described(problem)], ensure_ascii=False) + "}")
        raise Told(problem) from problem
    print('\n], "summary": ' + json.dumps(summary(), ensure_ascii=False) + "}")


class Told(Exception):
    """An error that is already printed; only its exit code is left to give."""

    def __init__(self, problem: EbpfnfError) -> None:
        super().__init__(str(problem))
        self.exit_code = problem.exit_code


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table; columns that end with '#' are numbers and stand to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        drawn.add_column(column.rstrip("#"), justify="right" if column.endswith("#") else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)) for cell in row))
    console().print(drawn, "")


def hanging(head: str, words: str) -> None:
    """A line with rich's marks in it; what a terminal has no room for goes on below `words`."""
    from rich.table import Table

    to = console()
    if not to.is_terminal:
        to.print(head + words)
        return
    row = Table.grid()
    row.add_column(no_wrap=True)
    row.add_column()
    row.add_row(head, words)
    to.print(row)


@contextmanager
def working(words: str) -> Iterator[Any]:
    """A spinner while something takes its time; call what it yields to say what is being done. Silent without a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with console(stderr=True).status(words) as status:
        yield status.update


@contextmanager
def table_of_progress(said: Mapping[str, str]) -> Iterator[Callable[[], None]]:
    """A table of what happens where, as long as it happens; call what it yields after `said` has changed. Silent without a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    def drawn() -> Table:
        table = Table.grid(padding=(0, 2))
        for name, words in said.items():
            table.add_row(Text(name, "bold"), Text(words))
        return table

    with Live(drawn(), console=console(stderr=True), transient=True, auto_refresh=False) as live:
        yield lambda: live.update(drawn(), refresh=True)


def error(problem: EbpfnfError, output: Output = Output.text) -> None:
    """An error as it should be seen: where, what, the cure; all of them when there are several."""
    problems = problem.errors if isinstance(problem, SpecErrors | CompileErrors) else (problem,)
    if output is Output.json:
        json.dump({"errors": [described(p) for p in problems]}, sys.stdout, indent=2, ensure_ascii=False)
        print()
        return
    for each in problems:
        print(f"error: {each}", file=sys.stderr)
        if isinstance(each, VerifierError) and each.log:
            print(each.log, file=sys.stderr)


def described(problem: EbpfnfError) -> dict[str, Any]:
    """An error for a program."""
    where = problem.where
    return {
        "error": problem.what,
        "file": where.file if where else None,
        "line": where.line if where else None,
        "column": where.column if where else None,
        "cure": problem.cure,
    }


def confirmed(question: str, yes: bool) -> None:
    """Go on only if the operator says so: by -y, or at a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise EbpfnfError(f"'{question}' needs a yes, and there is no terminal to ask at", cure="add -y")
    answer = input(f"{question} [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise EbpfnfError("not done: you did not say yes")
