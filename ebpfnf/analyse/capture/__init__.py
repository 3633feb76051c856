"""Captures of packets: pcap and pcapng are read frame by frame, pcapng is written. docs/reference/replay.md says what is accepted."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from ebpfnf.analyse.capture import pcap, pcapng
from ebpfnf.analyse.capture.stream import Frame, Stream
from ebpfnf.analyse.capture.writer import Writer
from ebpfnf.errors import CaptureError, Where

__all__ = ["Frame", "Writer", "reading"]

_GZIP = b"\x1f\x8b"


@contextmanager
def reading(path: Path) -> Iterator[Iterator[Frame]]:
    """The frames of a capture, in file order, as they are asked for. CaptureError, at once, where the file can't be opened or is none.

    Where it is broken further on, CaptureError comes in place of the first frame that can't be told.
    """
    with ExitStack() as stack:
        stream = Stream(_open(path, stack), str(path))
        magic = stream.take(4, "the file")
        if magic in pcap.MAGICS:
            yield pcap.frames(stream, magic)
        elif magic == pcapng.MAGIC:
            yield pcapng.frames(stream)
        else:
            raise stream.wrong(f"magic {magic.hex()}, wanted that of a pcap or pcapng file", at=0)


def _open(path: Path, stack: ExitStack) -> BinaryIO:
    try:
        file = stack.enter_context(path.open("rb"))
        if file.peek(2)[:2] == _GZIP:
            return stack.enter_context(gzip.GzipFile(fileobj=file))  # type: ignore[return-value]  # reads and closes as one
        return file
    except OSError as error:
        raise CaptureError((error.strerror or str(error)).lower(), Where(str(path)), "wanted a pcap or pcapng file") from None
