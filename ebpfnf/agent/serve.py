"""`serve`: commands one after another over one connection, each in a child.

In: a line each, {"command": ..., "payload": {...}, "seconds": 120}. Out: what the command says, then {"ended": status}, negative for a
signal. It ends with its input, or when nothing was asked for a while; a command that runs then goes on to its end, or its limit.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from ebpfnf.errors import AgentError

_IDLE = 300  # seconds: a manager that vanished without a word leaves nothing here


def serve(do: Callable[[str, Mapping[str, Any]], int], say: Callable[[Mapping[str, Any]], None], load: Callable[[], None]) -> None:
    """`do`: a command with its payload, to an exit status. A child that is killed, or takes too long, takes nothing with it.

    `load` imports for all commands: a second one shows that more will come, the first imports only what it needs.
    """
    signal.alarm(_IDLE)
    for number, line in enumerate(sys.stdin.buffer):
        signal.alarm(0)
        command, payload, seconds = _asked(line)
        if number == 1:
            load()
            gc.freeze()  # else the collector of each child would copy every page
        child = os.fork()
        if child == 0:
            _in_child(do, command, payload, seconds)
        say({"ended": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])})
        signal.alarm(_IDLE)


def _asked(line: bytes) -> tuple[str, Mapping[str, Any], int]:
    try:
        asked = json.loads(line)
        command, payload, seconds = asked["command"], asked["payload"], asked["seconds"]
    except (ValueError, KeyError, TypeError, RecursionError):
        command = payload = seconds = None
    if not (isinstance(command, str) and isinstance(payload, dict) and isinstance(seconds, int) and seconds > 0):
        raise AgentError("what the agent was asked is no object with command, payload and seconds")
    return command, payload, seconds


def _in_child(do: Callable[[str, Mapping[str, Any]], int], command: str, payload: Mapping[str, Any], seconds: int) -> None:
    """Never returns."""
    status = 1
    try:
        signal.alarm(seconds)
        status = do(command, payload)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
