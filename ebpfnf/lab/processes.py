"""Processes that outlive whoever started them: a file keeps the pid and when it began, which together name one process for good."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path


def started(pid: int) -> str:
    """When the process started; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def remember(file: Path, pid: int) -> None:
    """Writes the file that `alive` reads."""
    file.write_text(f"{pid} {started(pid)}\n")


def alive(file: Path) -> int:
    """The pid in that file, if it still is that process, else 0."""
    try:
        pid, since = file.read_text().split()
    except (OSError, ValueError):
        return 0
    return int(pid) if pid.isdigit() and started(int(pid)) == since else 0


def kill(file: Path) -> None:
    """Ends the process of that file, if it is there, and waits until it has gone."""
    pid = alive(file)
    with suppress(ProcessLookupError):
        if pid:
            handle = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [], 5)
            finally:
                os.close(handle)


def below(pid: int) -> tuple[int, ...]:
    """All descendants of a process."""
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return ()
    return (*children, *(each for child in children for each in below(child)))
