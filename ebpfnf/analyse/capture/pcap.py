"""The classic format: one header, then records. https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ebpfnf.analyse.capture.stream import Frame, Stream

# magic -> byte order, nanoseconds in a unit of the fraction of a second
MAGICS = {
    bytes.fromhex("a1b2c3d4"): (">", 1000),
    bytes.fromhex("d4c3b2a1"): ("<", 1000),
    bytes.fromhex("a1b23c4d"): (">", 1),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
}
_VERSION = (2, 4)


def frames(stream: Stream, magic: bytes) -> Iterator[Frame]:
    """The frames behind `magic`, which was read already. The header is checked at once.

    The header's snapshot length is not believed: writers put anything there.
    """
    order, unit = MAGICS[magic]
    major, minor, _zone, _figures, _snaplen, link = struct.unpack(order + "HHiIII", stream.take(20, "the file's header"))
    if (major, minor) != _VERSION:
        raise stream.wrong(f"pcap version {major}.{minor}, wanted 2.4", at=4)
    stream.ethernet(link & 0xFFFF, at=20)  # above it stands what is known of frame check sequences
    return _records(stream, struct.Struct(order + "IIII"), unit)


def _records(stream: Stream, head: struct.Struct, unit: int) -> Iterator[Frame]:
    while True:
        at = stream.at
        data = stream.take_or_end(16, "a record's header")
        if not data:
            return
        seconds, fraction, captured, length = head.unpack(data)
        stream.lengths(captured, length, at + 8)
        yield Frame(stream.take(captured, "a record"), seconds * 1_000_000_000 + fraction * unit, length)
