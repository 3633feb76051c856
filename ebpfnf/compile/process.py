"""The compiling process as its parent sees it: started before it is known what to compile, told once, ended whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ebpfnf import __file__ as package
from ebpfnf.errors import CompileError

_ENOUGH = 1 << 20  # bytes of messages to look at
_waiting: list[Process] = []  # not yet taken


class Process:
    """One compilation. It goes by itself when its parent has gone before it was told what to compile."""

    def __init__(self) -> None:
        # its environment is ours to choose, so that results don't vary
        environment = {
            "PATH": os.defpath,
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(Path(package).parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "ebpfnf.compile.child"],
            cwd="/",
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def compile(self, folder: str, seconds: float) -> tuple[int, bytes, str]:
        """Exit code, result and messages for what is staged in `folder`."""
        try:
            written, messages = self._child.communicate(os.fsencode(folder), seconds)
        except subprocess.TimeoutExpired:
            raise CompileError(f"the compiler took more than {seconds} seconds", cure="make the bodies or the chain smaller") from None
        return self._child.returncode, written, messages[:_ENOUGH].decode(errors="replace")

    def end(self) -> None:
        """Whether it has done anything or not."""
        with self._child:
            if self._child.poll() is None:
                os.killpg(self._child.pid, signal.SIGKILL)


@contextmanager
def ready() -> Iterator[None]:
    """`taken` inside finds one that was started here."""
    process = Process()
    _waiting.append(process)
    try:
        yield
    finally:
        if process in _waiting:
            _waiting.remove(process)
            process.end()


@contextmanager
def taken() -> Iterator[Process]:
    """One that waits, or a new one."""
    process = _waiting.pop() if _waiting else Process()
    try:
        yield process
    finally:
        process.end()
