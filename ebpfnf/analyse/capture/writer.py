"""Writes pcapng: one section, its interfaces named, times in nanoseconds."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from ebpfnf.analyse.capture.stream import ETHERNET
from ebpfnf.errors import CaptureError, Where

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_NAME, _RESOLUTION, _END = 2, 9, 0
_NANOSECONDS = b"\x09"  # as a power of ten


class Writer:
    """Frames to a file; a context manager. What was written stays. CaptureError where the file can't be written."""

    def __init__(self, path: Path, interfaces: Sequence[str]) -> None:
        self._path = path
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise self._failed(error) from None
        self._block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
        for name in interfaces:
            options = _option(_NAME, name.encode()) + _option(_RESOLUTION, _NANOSECONDS) + _option(_END, b"")
            self._block(_INTERFACE, struct.pack("<HHI", ETHERNET, 0, 0) + options)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise self._failed(error) from None

    def write(self, interface: int, time: int, data: bytes) -> None:
        """A frame of the interface with this index, at `time` ns since 1970."""
        head = struct.pack("<5I", interface, time >> 32, time & 0xFFFFFFFF, len(data), len(data))
        self._block(_PACKET, head + _padded(data))

    def _block(self, kind: int, body: bytes) -> None:
        size = struct.pack("<I", len(body) + 12)
        try:
            self._file.write(struct.pack("<I", kind) + size + body + size)
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> CaptureError:
        return CaptureError(f"can't be written: {(error.strerror or str(error)).lower()}", Where(str(self._path)))


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
