"""This machine, or one of its network namespaces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
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

    def run(self, command: str, payload: Mapping[str, Any], on_event: OnEvent = ignore) -> Any:
        """See `Host.run`."""
        netns = ["--netns", self._netns] if self._netns else []
        # -s: what a user installed for himself must not run as root
        argv = [sys.executable, "-s", "-m", "ebpfnf.agent", *netns, command]
        answer = Answer(on_event)
        complaint: list[str] = []
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._environment
        ) as child:
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
