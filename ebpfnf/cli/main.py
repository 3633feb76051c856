"""`ebpfnf`: the commands put together, errors turned into words and exit codes."""

from __future__ import annotations

import gc
import itertools
import os
import sys
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from ebpfnf import __version__
from ebpfnf.cli import text
from ebpfnf.cli.lazy import LazyGroup
from ebpfnf.errors import EbpfnfError

USAGE = 64
_USAGE_OF_TYPER = 2


class Commands(LazyGroup):
    """In the order in which the help lists them."""

    places = {  # noqa: RUF012 -- a table
        "catalogue": "ebpfnf.cli.catalogue:catalogue",
        "validate": "ebpfnf.cli.build:validate",
        "schema": "ebpfnf.cli.build:schema",
        "build": "ebpfnf.cli.build:build",
        "plan": "ebpfnf.cli.change:plan",
        "deploy": "ebpfnf.cli.change:deploy",
        "swap": "ebpfnf.cli.change:swap",
        "rollback": "ebpfnf.cli.change:rollback",
        "undeploy": "ebpfnf.cli.change:undeploy",
        "status": "ebpfnf.cli.observe:status",
        "metrics": "ebpfnf.cli.observe:metrics",
        "watch": "ebpfnf.cli.observe:watch",
        "test": "ebpfnf.cli.check:test",
        "trace": "ebpfnf.cli.check:trace",
        "replay": "ebpfnf.cli.check:replay",
        "profile": "ebpfnf.cli.measure:profile",
        "bench": "ebpfnf.cli.measure:bench",
        "rollout": "ebpfnf.cli.fleet:rollout",
        "drift": "ebpfnf.cli.fleet:drift",
        "history": "ebpfnf.cli.fleet:history",
        "doctor": "ebpfnf.cli.fleet:doctor",
        "table": "ebpfnf.cli.table:app",
        "lab": "ebpfnf.cli.lab:app",
        "unikernel": "ebpfnf.cli.unikernel:app",
    }


app = typer.Typer(
    name="ebpfnf",
    cls=Commands,
    help="Network functions from small reusable pieces, compiled to XDP and swapped while traffic runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 failed, 2 changes pending, 3 expectations failed, 4 failed on some hosts, "
    "64 usage, 65 invalid spec, 69 host unreachable, 77 no privilege, 130 interrupted.",
)


def _version(wanted: bool) -> None:
    if wanted:
        text.line(f"ebpfnf {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    netns: Annotated[str, typer.Option(help="Network namespace in which the ports are.", envvar="EBPFNF_NETNS")] = "",
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """What holds for every command."""
    context.obj = netns


def main() -> None:
    """Run the command line and exit: 0, or the error's code."""
    try:
        code = run()
        sys.stdout.flush()
    except OSError as problem:  # of a file that the command line named, or of where our output goes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0 if isinstance(problem, BrokenPipeError) else 1  # whoever read it has seen enough
        if code:
            text.note(f"error: {problem.filename or 'the output'}: {(problem.strerror or str(problem)).lower()}")
    except KeyboardInterrupt:
        code = 130
    gc.freeze()  # or the interpreter looks for garbage in all of it once more, which takes longer than many a command
    sys.exit(code)


def run() -> int:
    """Run the command line; the exit code, every error said in words."""
    try:
        code = app(standalone_mode=False)
    except Abort:
        return 130
    except TyperException as problem:
        words = problem.format_message().replace("Value error, ", "")
        if not words.startswith("Usage:"):  # which it is where a command was wanted and none given
            words = f"error: {words} ('ebpfnf --help' lists the commands, '--help' behind a command its options)"
        text.note(words)
        return USAGE if problem.exit_code == _USAGE_OF_TYPER else problem.exit_code
    except EbpfnfError as problem:
        text.error(problem, text.Output.json if _wants_json(sys.argv) else text.Output.text)
        return problem.exit_code
    except text.Told as problem:
        return problem.exit_code
    return code if isinstance(code, int) else 0


def _wants_json(arguments: list[str]) -> bool:
    """Whether errors too are read by a program: they are told before a command could say so."""
    pairs = set(itertools.pairwise(arguments))
    return bool({"-ojson", "--output=json"} & set(arguments) or {("-o", "json"), ("--output", "json")} & pairs)


if __name__ == "__main__":
    main()
