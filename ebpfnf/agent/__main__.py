"""`python -m ebpfnf.agent [--netns NAME] COMMAND [FILE]`: one command, then it ends.

In (FILE, else stdin): a JSON object, or a bundle's bytes. Out: JSON lines, {"step": ...} as things happen, then {"result": ...} or
{"error": ...}; the exit status is that of the error.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ebpfnf.agent import commands, netlink
from ebpfnf.agent.apply import refused
from ebpfnf.bundle import MAGIC
from ebpfnf.errors import AgentError, EbpfnfError, VerifierError


def main(arguments: list[str] | None = None) -> int:
    """Do the command; its exit status."""
    parser = argparse.ArgumentParser(prog="ebpfnf.agent", description="The part of ebpfnf that runs on a host.")
    parser.add_argument("--netns", default="", help="network namespace to work in")
    parser.add_argument("command", choices=commands.COMMANDS, metavar="COMMAND", help=", ".join(commands.COMMANDS))
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="a JSON object or a bundle; default: stdin")
    given = parser.parse_args(arguments)
    try:
        try:
            payload = _payload(given.file)
            if given.netns:
                netlink.enter(given.netns)
            _line({"result": commands.run(given.command, payload, lambda step, details: _line({"step": step, **details}))})
        except OSError as error:
            raise refused(error, "", given.command) from error
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
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        raise AgentError("what the agent was sent is neither a JSON object nor a bundle")
    return payload


def _line(value: Mapping[str, Any]) -> None:
    print(json.dumps(value, separators=(",", ":")), flush=True)


if __name__ == "__main__":
    sys.exit(main())
