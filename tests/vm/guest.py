"""A guest in a network namespace of its own, and a socket at the other end of its tap."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ebpfnf.lab import namespaces
from ebpfnf.vm import build, control, manifest, qemu
from ebpfnf.vm.control import Answer, Operation

_ALL = 0x0003
_IGNORE_OUTGOING = 23
_US = b"\x02\0\0\0\0\xfe"
RECEIPT = 14  # bytes of what a guest tells of a frame that it dropped: its cookie, 1 + the number of the reason


class Guest:
    """A context manager; entering it, the guest serves. `ready`: seconds that took from qemu's start."""

    def __init__(self, name: str, config: Mapping[str, Mapping[str, Any]] | None = None, accelerator: str = "tcg") -> None:
        self.image = build.image(name)
        self._accelerator = accelerator
        self._config = manifest.config(self.image.mnfs, config or {})
        self._space = f"ebpfnf-vm-{os.getpid()}"
        self._sequence = 0
        self.reasons: list[str] = []  # of what it dropped, as its receipts say
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Guest:
        try:
            self._start()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._cleanup.close()

    def _start(self) -> None:
        folder = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory()))
        config = folder / "config"
        config.write_bytes(self._config)
        namespaces.create(self._space)
        self._cleanup.callback(namespaces.remove, self._space)
        with namespaces.entered(self._space):
            run(["ip", "tuntap", "add", "dev", "tap0", "mode", "tap"])
            run(["sysctl", "-q", "-w", "net.ipv6.conf.tap0.disable_ipv6=1"])
            run(["ip", "link", "set", "tap0", "up"])
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
            self._cleanup.callback(self.socket.close)
            self.socket.setsockopt(263, _IGNORE_OUTGOING, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
            self.socket.bind(("tap0", 0))
            began = time.monotonic()
            command = qemu.command(self.image.path, self._accelerator, "tap0", config=config)
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._cleanup.callback(self._end)
        self.answer(0, 20)
        self.ready = time.monotonic() - began

    def _end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    def console(self) -> str:
        """What the guest said, once it has ended."""
        assert self.process.stdout
        self.process.wait(10)
        return self.process.stdout.read().decode("utf-8", "replace")

    def receive(self, seconds: float) -> bytes | None:
        """The next frame, or None."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return None
        return self.socket.recv(65536)

    def answer(self, sequence: int, seconds: float = 5) -> Answer:
        """The answer with that number; other frames are passed over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.process.poll() is None:
            found = control.answer(self.receive(min(left, 0.2)) or b"")
            if found and found.sequence == sequence:
                return found
        if self.process.poll() is not None:
            raise AssertionError(f"the guest has ended: {self.console()}")
        raise AssertionError("the guest does not answer")

    def ask(self, operation: Operation, text: str = "") -> Answer:
        """The answer to a control frame."""
        self._sequence += 1
        self.socket.send(control.request(operation, self._sequence, _US, text=text))
        return self.answer(self._sequence)

    def counters(self) -> dict[str, int]:
        return control.counters(self.ask(Operation.STATS).text)

    def exchange(self, frames: list[bytes]) -> list[bytes]:
        """All frames that leave for these; the answer to a drain behind them says that there are no more."""
        self._sequence += 1
        out: list[bytes] = []
        for frame in frames:
            self.socket.send(frame)
        self.socket.send(control.request(Operation.DRAIN, self._sequence, _US))
        while (frame_ := self.receive(10)) is not None:
            found = control.answer(frame_)
            if found and found.sequence == self._sequence:
                return out
            if len(frame_) == RECEIPT:
                every = [f"{mnf.name}.{reason}" for mnf in self.image.mnfs for reason in mnf.reasons]
                self.reasons.append(every[int.from_bytes(frame_[12:]) - 1])
            else:
                out.append(frame_)
        raise AssertionError(f"no answer to a drain behind {len(frames)} frames, {len(out)} came back")


def run(command: list[str]) -> None:
    subprocess.run(command, check=True)
