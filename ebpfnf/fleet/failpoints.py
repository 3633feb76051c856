"""Every place at which a manager can die and hosts can tell the difference: before each word to one, and at each line of the answer.

EBPFNF_MANAGER_FAILPOINT=place     the manager kills itself there
EBPFNF_MANAGER_FAILPOINTS=file     gets a line for each place that was passed: tests kill managers at all that there are

A place is "<host> <command>: <what> <turn>", such as "h2 apply: heard 3".
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

_passed: Counter[str] = Counter()
_one = threading.Lock()


def passed(host: str, command: str, what: str) -> None:
    """Die here if the environment says so."""
    wanted, file = os.environ.get("EBPFNF_MANAGER_FAILPOINT"), os.environ.get("EBPFNF_MANAGER_FAILPOINTS")
    if not (wanted or file):
        return
    with _one:
        place = f"{host} {command}: {what}"
        _passed[place] += 1
        place = f"{place} {_passed[place]}"
        if file:
            with open(file, "a", encoding="utf-8") as places:
                places.write(f"{place}\n")
        if place == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
