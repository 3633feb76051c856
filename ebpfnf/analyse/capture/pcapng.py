"""The block format: sections, interfaces, packets. https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from ebpfnf.analyse.capture.stream import Frame, Stream

MAGIC = bytes.fromhex("0a0d0d0a")  # the type of a section's header: the same in both byte orders
_ORDERS = {bytes.fromhex("1a2b3c4d"): ">", bytes.fromhex("4d3c2b1a"): "<"}
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 1, 2, 3, 6
_LEAST = {_INTERFACE: 8, _OLD_PACKET: 20, _SIMPLE_PACKET: 4, _PACKET: 20}  # bytes of the blocks that are looked into
_NAME, _RESOLUTION, _OFFSET = 2, 9, 14
_LARGEST_BLOCK = 1 << 20  # a frame of 256 KiB and any options
_MOST_INTERFACES = 4096
_LONGEST_NAME = 255
_SECOND = 1_000_000_000
_LAST = 1 << 63


@dataclass(frozen=True, slots=True)
class _Interface:
    """An interface of a section. Its clock stands at `offset` ns at tick 0; a tick is `per / ticks` ns."""

    link: int
    snaplen: int
    at: int
    name: str = ""
    offset: int = 0
    per: int = 1000
    ticks: int = 1


@dataclass(slots=True)
class _Section:
    """What holds since the last section header."""

    order: str
    interfaces: list[_Interface] = field(default_factory=list)


def frames(stream: Stream) -> Iterator[Frame]:
    """The frames of the file, whose first section header's type was read already. That header is checked at once."""
    return _blocks(stream, _section(stream, 0))


def _blocks(stream: Stream, section: _Section) -> Iterator[Frame]:
    time = 0  # of the last frame: simple packets have none of their own
    while True:
        start = stream.at
        kind = stream.take_or_end(4, "a block's type")
        if not kind:
            return
        if kind == MAGIC:
            section = _section(stream, start)
            continue
        (number,) = struct.unpack(section.order + "I", kind)
        body = _body(stream, section.order, number, start)
        if number == _INTERFACE:
            _describe(stream, section, body, start + 8)
        elif number in _LEAST:
            frame = _frame(stream, section, number, body, start + 8, time)
            time = frame.time
            yield frame


def _section(stream: Stream, start: int) -> _Section:
    """A section header, its type already read."""
    length = stream.take(4, "a section's header")
    magic = stream.take(4, "a section's header")
    if magic not in _ORDERS:
        raise stream.wrong(f"byte-order magic {magic.hex()}, wanted 1a2b3c4d or 4d3c2b1a", start + 8)
    order = _ORDERS[magic]
    size = _length(stream, order, length, start, least=28, most=_LARGEST_BLOCK)
    body = stream.take(size - 16, "a section's header")
    _trailer(stream, order, size)
    major, minor = struct.unpack_from(order + "HH", body)
    if major != 1:
        raise stream.wrong(f"pcapng version {major}.{minor}, wanted 1.x", start + 12)
    return _Section(order)


def _body(stream: Stream, order: str, number: int, start: int) -> bytes:
    """What is in a block, its type already read; nothing for blocks that are passed over."""
    known = number in _LEAST
    least, most = (12 + _LEAST[number], _LARGEST_BLOCK) if known else (12, 1 << 32)
    size = _length(stream, order, stream.take(4, "a block's length"), start, least, most)
    body = b""
    if known:
        body = stream.take(size - 12, "a block")
    else:
        stream.skip(size - 12, "a block")
    _trailer(stream, order, size)
    return body


def _length(stream: Stream, order: str, field: bytes, start: int, least: int, most: int) -> int:
    size = int(struct.unpack(order + "I", field)[0])
    if size % 4:
        raise stream.wrong(f"block length {size}, wanted a multiple of 4", start + 4)
    if not least <= size <= most:
        raise stream.wrong(f"block length {size}, wanted {least} to {most}", start + 4)
    return size


def _trailer(stream: Stream, order: str, size: int) -> None:
    at = stream.at
    (again,) = struct.unpack(order + "I", stream.take(4, "a block"))
    if again != size:
        raise stream.wrong(f"block length {again} behind the block, {size} before it", at)


def _describe(stream: Stream, section: _Section, body: bytes, at: int) -> None:
    """An interface description."""
    if len(section.interfaces) == _MOST_INTERFACES:
        raise stream.wrong(f"too many interfaces, wanted at most {_MOST_INTERFACES}", at)
    link, _, snaplen = struct.unpack_from(section.order + "HHI", body)
    name, offset, per, ticks = "", 0, 1000, 1
    for code, value in _options(stream, section.order, body, at):
        if code == _NAME:
            name = value[:_LONGEST_NAME].decode(errors="replace")
        elif code == _RESOLUTION and len(value) == 1:
            exponent = value[0] & 0x7F
            per, ticks = _SECOND, 1 << exponent if value[0] & 0x80 else 10**exponent
        elif code == _OFFSET and len(value) == 8:
            offset = int(struct.unpack(section.order + "q", value)[0]) * _SECOND
        elif code in (_RESOLUTION, _OFFSET):
            raise stream.wrong(f"an interface's option {code} of {len(value)} bytes, wanted {1 if code == _RESOLUTION else 8}", at)
    section.interfaces.append(_Interface(link, snaplen, at, name, offset, per, ticks))


def _options(stream: Stream, order: str, body: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    at = 8
    while at < len(body):
        code, size = struct.unpack_from(order + "HH", body, at)  # a body is a multiple of 4 long
        if code == 0:
            return
        if at + 4 + size > len(body):
            raise stream.wrong(f"an option of {size} bytes, where the block has {len(body) - at - 4} more", start + at)
        yield code, body[at + 4 : at + 4 + size]
        at += 4 + (size + 3 & ~3)


def _frame(stream: Stream, section: _Section, number: int, body: bytes, at: int, time: int) -> Frame:
    """A packet of one of the three kinds; options behind it are passed over."""
    ticks = None
    if number == _SIMPLE_PACKET:
        (length,) = struct.unpack_from(section.order + "I", body)
        index, lengths_at, data_at = 0, 0, 4
        captured = min(length, _interface(stream, section, 0, at).snaplen or length)
    else:
        index, high, low, captured, length = struct.unpack_from(section.order + ("5I" if number == _PACKET else "H2x4I"), body)
        lengths_at, data_at, ticks = 12, 20, high << 32 | low
    interface = _interface(stream, section, index, at)
    stream.ethernet(interface.link, interface.at)
    stream.lengths(captured, length, at + lengths_at)
    if data_at + captured > len(body):
        raise stream.wrong(f"{captured} bytes captured, where the block has {len(body) - data_at}", at + lengths_at)
    if ticks is not None:
        time = interface.offset + ticks * interface.per // interface.ticks
        if not 0 <= time < _LAST:
            raise stream.wrong(f"a time {time // _SECOND} seconds after 1970, wanted 0 to {_LAST // _SECOND}", at + 4)
    return Frame(body[data_at : data_at + captured], time, length, interface.name)


def _interface(stream: Stream, section: _Section, index: int, at: int) -> _Interface:
    if index >= len(section.interfaces):
        raise stream.wrong(f"a packet of interface {index}, where {len(section.interfaces)} are described", at)
    return section.interfaces[index]
