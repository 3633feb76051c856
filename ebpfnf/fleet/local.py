"""This machine, or one of its network namespaces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ebpfnf
from ebpfnf.errors import HostUnreachable
from ebpfnf.fleet.host import Answer, OnEvent, ignore


class LocalHost:
    """Runs the agent as a child process, as it would run elsewhere; `environment` adds to this process's own."""

    def __init__(self, netns: str = "", environment: Mapping[str, str] | None = None) -> None:
        self.name = netns or "localhost"
        self._netns = netns
        source = str(Path(ebpfnf.__file__).parent.parent)
        self._environment = {**os.environ, "PYTHONPATH": source, **(environment or {})}
        self._ahead: dict[str, subprocess.Popen[str]] = {}

    def begin(self, command: str) -> None:
        """Start the agent for a command that `run` will be asked for: it gets ready meanwhile, and does nothing without a payload."""
        if command not in self._ahead:
            child = self._ahead[command] = self._start(command)
            weakref.finalize(self, _end, child)

    def run(self, command: str, payload: Mapping[str, Any], on_event: OnEvent = ignore) -> Any:
        """See `Host.run`."""
        answer = Answer(on_event)
        complaint: list[str] = []
        with self._ahead.pop(command, None) or self._start(command) as child:
            assert child.stdin and child.stdout and child.stderr
            stderr = child.stderr
            reader = threading.Thread(target=lambda: complaint.append(stderr.read()), daemon=True)
            reader.start()
            try:
                child.stdin.write(json.dumps(payload))
                child.stdin.close()
            except BrokenPipeError:  # it ended before it read: what it said, or its status, tells why
                pass
            for line in child.stdout:
                answer.line(line)
            reader.join()
        last = "".join(complaint).strip().splitlines()
        how = f"killed by signal {-child.returncode}" if child.returncode < 0 else f"status {child.returncode}"
        words = f"the agent on '{self.name}' ended without an answer: {how}" + (f": {last[-1]}" if last else "")
        return answer.result(HostUnreachable(words, cure="'ebpfnf status' tells what runs there"))

    def _start(self, command: str) -> subprocess.Popen[str]:
        netns = ["--netns", self._netns] if self._netns else []
        # -s: what a user installed for himself must not run as root
        argv = [sys.executable, "-s", "-m", "ebpfnf.agent", *netns, command]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=self._environment)


def _end(child: subprocess.Popen[str]) -> None:
    """One that was not needed in the end."""
    if child.poll() is None:
        child.kill()
        child.communicate()
