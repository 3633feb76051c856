"""Managers that may be killed: each is a process of its own, forked from one that has everything loaded, so that a life costs little."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ebpfnf.fleet import inventory
from ebpfnf.fleet.change import Fleet
from ebpfnf.fleet.gate import Gates
from ebpfnf.fleet.rollout import Policy, Report, Rollout
from ebpfnf.lab.hosts import HostLab
from tests.fleet import rig

ROOT = Path(__file__).parents[2]


def policy(unwell: str) -> Policy:
    """One host after the other; `unwell`: the one whose turn sends the rollout back."""
    return Policy(soak=0.0, gates=Gates(check=f'test "$EBPFNF_HOST" != {unwell}' if unwell else ""))


def rollout(fleet: Fleet, mark: int, unwell: str = "") -> Report:
    return Rollout(fleet, rig.NAME, rig.sent(fleet, mark), policy(unwell)).run()


class Managers:
    """Where they come from."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def live(self, mark: int, unwell: str = "", *, point: str = "", listed: str = "", seconds: float = 0.0) -> int:
        """One rolls that mark out; its exit status, negative for the signal that ended it. `seconds`: killed after that long."""
        asked = {"mark": mark, "unwell": unwell, "seconds": seconds, "EBPFNF_MANAGER_FAILPOINT": point, "EBPFNF_MANAGER_FAILPOINTS": listed}
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def managers(lab: HostLab) -> Iterator[Managers]:
    argv = [sys.executable, "-m", "tests.fleet.managers", str(lab.inventory)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield Managers(process)
        finally:
            process.kill()


def _life(targets: tuple[inventory.Target, ...], asked: dict[str, Any]) -> None:
    """Never returns."""
    try:
        os.environ.update({key: value for key, value in asked.items() if key.startswith("EBPFNF_") and value})
        if asked["seconds"]:
            signal.setitimer(signal.ITIMER_REAL, asked["seconds"])  # nothing catches SIGALRM: as good as SIGKILL
        with Fleet(targets) as fleet:
            done = rollout(fleet, asked["mark"], asked["unwell"])
        os._exit(0 if done.complete else 4)
    finally:
        os._exit(1)


def _serve(file: str) -> None:
    import fabric  # noqa: F401 -- once, for all of them

    targets = inventory.load(Path(file)).select()
    with Fleet(targets) as fleet:
        for mark in (1, 2):
            rig.sent(fleet, mark)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _life(targets, json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
