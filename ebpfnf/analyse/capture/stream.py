"""What both formats share: a frame, and a stream that knows how far it was read."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import BinaryIO

from ebpfnf.errors import CaptureError, Where

LARGEST = 256 * 1024  # bytes of a frame; more is a lie, not a frame
ETHERNET = 1
_PIECE = 64 * 1024
_LINKS = {
    0: "BSD loopback", 12: "raw IP", 101: "raw IP", 105: "802.11", 113: "Linux cooked", 127: "802.11 with radio header", 195: "802.15.4",
    228: "raw IPv4", 229: "raw IPv6", 276: "Linux cooked v2",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as captured."""

    data: bytes
    time: int  # ns since 1970
    length: int  # bytes on the wire
    interface: str = ""  # where it was captured, where the file says so

    @property
    def cut(self) -> bool:
        """Whether there was more of it than was captured."""
        return len(self.data) < self.length


class Stream:
    """Reads forward, never more than is asked for, and says where something was wrong."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.at = 0
        self._file = file
        self._name = name

    def take(self, size: int, what: str) -> bytes:
        """The next `size` bytes; CaptureError where the file ends before: `what` names them."""
        data = self._read(size)
        if len(data) < size:
            raise self.wrong(f"{what} breaks off: {len(data)} bytes, wanted {size}", self.at - len(data))
        return data

    def take_or_end(self, size: int, what: str) -> bytes:
        """As `take`; nothing where the file ends here."""
        data = self._read(size)
        if data and len(data) < size:
            raise self.wrong(f"{what} breaks off: {len(data)} bytes, wanted {size}", self.at - len(data))
        return data

    def skip(self, size: int, what: str) -> None:
        """Past `size` bytes."""
        while size:
            size -= len(self.take(min(size, _PIECE), what))

    def wrong(self, what: str, at: int, cure: str = "") -> CaptureError:
        """The error for something at byte `at`."""
        return CaptureError(f"byte {at}: {what}", Where(self._name), cure)

    def ethernet(self, link: int, at: int) -> None:
        """CaptureError for any other link type."""
        if link == ETHERNET:
            return
        name = f" ({_LINKS[link]})" if link in _LINKS else ""
        cure = "capture on one Ethernet interface, not on 'any'" if link in (113, 276) else ""
        raise self.wrong(f"link type {link}{name}, wanted {ETHERNET} (Ethernet)", at, cure)

    def lengths(self, captured: int, length: int, at: int) -> None:
        """CaptureError where a frame's lengths can't be."""
        if captured > LARGEST:
            raise self.wrong(f"a frame of {captured} bytes, wanted at most {LARGEST}", at)
        if captured > length:
            raise self.wrong(f"{captured} bytes captured of a frame of {length}", at)

    def _read(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except (OSError, EOFError, zlib.error) as error:  # the last two, and OSError too, are what gzip says
            raise self.wrong(f"can't be read on: {error}".lower(), self.at) from None
        self.at += len(data)
        return data
