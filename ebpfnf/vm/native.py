"""An image run as a process with sanitizers: what its mNFs do to frames, without root and without a virtual machine."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NoReturn

from ebpfnf.errors import EbpfnfError, SpecError
from ebpfnf.vm import build, control, manifest
from ebpfnf.vm.control import Answer, Operation, Status

SLOWEST = 20  # seconds for an answer
ROOM = 2036  # bytes of a frame, as in a guest
_TIGHT = 1 << 31  # of a length
_US = b"\x02\0\0\0\0\xfe"


class Native:
    """The process; a context manager. `config`: parameters by mNF."""

    def __init__(self, name: str, config: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        image = build.process(name)
        with tempfile.NamedTemporaryFile() as file:
            file.write(manifest.config(image.mnfs, config or {}))
            file.flush()
            self._process = subprocess.Popen(
                [str(image.path), file.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            self._sequence = 0
            self._read_ahead = b""
            try:
                self.ask(Operation.READY)  # the file has been read when this is answered
            except EbpfnfError:
                self.close()
                raise

    def __enter__(self) -> Native:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process; what its sanitizers found is an error."""
        if self._process.poll() is None:
            assert self._process.stdin
            self._process.stdin.close()
        code = self._process.wait(SLOWEST)
        said = self._process.stderr.read().decode("utf-8", "replace") if self._process.stderr else ""
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()
        if code not in (0, 65, -9):
            raise EbpfnfError(f"the image ended with {code}: {said[:3000]}")

    def frame(self, data: bytes, at: int = 0) -> bytes | None:
        """What leaves for a frame that comes in at that time (ns); None where it was dropped."""
        return self.frames([data], at)[0]

    def frames(self, frames: list[bytes], at: int = 0, *, tight: bool = False) -> list[bytes | None]:
        """Several frames, in order. `tight`: their memory ends where they end, so that a look beyond is noticed."""
        result: list[bytes | None] = []
        for start in range(0, len(frames), 16):  # no more than the pipes hold
            part = frames[start : start + 16]
            self._write(b"".join(struct.pack("<QI", at, len(data) | _TIGHT * tight) + data for data in part))
            for _ in part:
                length = int.from_bytes(self._read(4), "little")
                result.append(self._read(length) if length else None)
        return result

    def ask(self, operation: Operation, text: str = "") -> Answer:
        """The answer to a control frame."""
        self._sequence += 1
        reply = self.frame(control.request(operation, self._sequence, _US, text=text))
        answer = control.answer(reply) if reply else None
        if answer is None or answer.sequence != self._sequence:
            raise EbpfnfError("the image answered something else than it was asked")
        return answer

    def counters(self) -> dict[str, int]:
        """All counters, by `<mnf>.<name>`."""
        found: dict[str, int] = {}
        while True:
            answer = self.ask(Operation.STATS, str(len(found)))
            found |= control.counters(answer.text)
            if answer.status is not Status.MORE:
                return found

    def _write(self, data: bytes) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError:
            self._ended()

    def _read(self, length: int) -> bytes:
        assert self._process.stdout
        while len(self._read_ahead) < length:
            if not select.select([self._process.stdout], [], [], SLOWEST)[0]:
                self._process.kill()
                raise EbpfnfError(f"the image has not answered for {SLOWEST} s")
            more = os.read(self._process.stdout.fileno(), 65536)
            if not more:
                self._ended()
            self._read_ahead += more
        data, self._read_ahead = self._read_ahead[:length], self._read_ahead[length:]
        return data

    def _ended(self) -> NoReturn:
        code = self._process.wait(10)
        assert self._process.stderr
        said = self._process.stderr.read().decode("utf-8", "replace").strip()
        if code == 65:
            raise SpecError(f"configuration refused: {said}")
        raise EbpfnfError(f"the image ended with {code}: {said[:3000]}")
