"""`python -m ebpfnf.agent [--netns NAME] COMMAND [FILE]`: one command, then it ends; with `serve` those of a connection.

In (FILE, else stdin): a JSON object, or a bundle's bytes. Out: JSON lines, {"step": ...} as things happen, then {"result": ...} or
{"error": ...}; the exit status is that of the error.
"""

from __future__ import annotations

import argparse
import base64
import gc
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ebpfnf.agent import commands, netlink
from ebpfnf.agent.denial import refused
from ebpfnf.agent.serve import serve
from ebpfnf.bundle import MAGIC
from ebpfnf.errors import AgentError, EbpfnfError, VerifierError

gc.set_threshold(100_000, 20, 100)  # what a command makes lives as long as it does


def main(arguments: list[str] | None = None) -> int:
    """Do the command; its exit status."""
    known = (*commands.COMMANDS, "serve")
    parser = argparse.ArgumentParser(prog="ebpfnf.agent", description="The part of ebpfnf that runs on a host.")
    parser.add_argument("--netns", default="", help="network namespace to work in")
    parser.add_argument("command", choices=known, metavar="COMMAND", help=", ".join(known))
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="a JSON object or a bundle; default: stdin")
    given = parser.parse_args(arguments)

    def work() -> None:
        if given.netns:
            netlink.enter(given.netns)
        if given.command == "serve":
            serve(_do, _line, commands.load)
        else:
            commands.get_ready(given.command)
            _run(given.command, _payload(given.file))

    return _told(given.command, work)


def _do(command: str, payload: Mapping[str, Any]) -> int:
    return _told(command, lambda: _run(command, payload))


def _run(command: str, payload: Mapping[str, Any]) -> None:
    _line({"result": commands.run(command, payload, lambda step, details: _line({"step": step, **details}))})


def _told(command: str, work: Callable[[], None]) -> int:
    """The exit status of `work`, its error said."""
    try:
        try:
            work()
        except OSError as error:
            raise refused(error, "", command) from error
    except EbpfnfError as error:
        _line(describe(error))
        return error.exit_code
    return 0


def describe(error: EbpfnfError) -> dict[str, Any]:
    """An error as JSON's types; `kind` is its class."""
    where = error.where
    return {
        "error": error.what,
        "kind": type(error).__name__,
        "where": {"file": where.file, "line": where.line, "column": where.column} if where else None,
        "cure": error.cure,
        "exit_code": error.exit_code,
        "log": error.log if isinstance(error, VerifierError) else "",
    }


def _payload(file: str) -> Mapping[str, Any]:
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    if data.startswith(MAGIC):
        return {"bundle": base64.b64encode(data).decode()}
    try:
        payload = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        raise AgentError("what the agent was sent is neither a JSON object nor a bundle")
    return payload


def _line(value: Mapping[str, Any]) -> None:
    try:
        print(json.dumps(value, separators=(",", ":")), flush=True)
    except BrokenPipeError:  # whoever asked is gone: what was begun is brought to its end all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    code = main()
    gc.freeze()  # what is left goes with the process: nobody shall wait until garbage was looked for in it
    sys.exit(code)
