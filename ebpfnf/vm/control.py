"""Control frames: how a host speaks with a guest (docs/explanation/unikernels.md)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import IntEnum

TYPE = 0x88B5
VERSION = 1
TEXT_MOST = 1400
_HEAD = struct.Struct("!6s6sHBBHBBH")
_REPLY = 0x80
_MINIMUM = 60
_NAME, _NUMBER = re.compile(r"[a-z0-9_.]{1,64}\Z"), re.compile(r"[0-9]{1,20}\Z")


class Operation(IntEnum):
    """What is asked for."""

    READY = 1  # is somebody there? Sent by a guest too, unasked, when it begins to serve (sequence 0)
    CONFIG = 2  # set scalars, by lines of configuration: all or none
    STATS = 3  # counters; the text asks from which line on
    DRAIN = 4  # answered when everything that came before has left
    QUIT = 5  # answered, then the guest ends
    BEGIN = 6  # to one that stood by: its time starts now


class Status(IntEnum):
    """What became of it."""

    OK = 0
    REFUSED = 1  # the text says why
    MORE = 2  # counters are left: ask on from the line behind the last


@dataclass(frozen=True, slots=True)
class Answer:
    """A guest's frame."""

    operation: Operation
    sequence: int
    status: Status
    text: str
    mac: bytes  # the guest's


def request(operation: Operation, sequence: int, source: bytes, target: bytes = b"\xff" * 6, text: str = "") -> bytes:
    """The frame that asks."""
    data = text.encode()
    if len(data) > TEXT_MOST:
        raise ValueError(f"at most {TEXT_MOST} bytes of text")
    return (_HEAD.pack(target, source, TYPE, VERSION, operation, sequence, 0, 0, len(data)) + data).ljust(_MINIMUM, b"\0")


def answer(frame: bytes) -> Answer | None:
    """What a guest said, or None where the frame is no answer."""
    if len(frame) < _HEAD.size:
        return None
    _, source, kind, version, operation, sequence, status, _, length = _HEAD.unpack_from(frame)
    if kind != TYPE or version != VERSION or not operation & _REPLY or length > len(frame) - _HEAD.size:
        return None
    try:
        text = frame[_HEAD.size : _HEAD.size + length].decode("utf-8", "replace")
        return Answer(Operation(operation & ~_REPLY), sequence, Status(status), text, source)
    except ValueError:
        return None


def counters(text: str) -> dict[str, int]:
    """The lines of a STATS answer; what a guest may not say is passed over."""
    pairs = (line.partition(" ") for line in text.splitlines())
    return {name: int(value) for name, _, value in pairs if _NAME.match(name) and _NUMBER.match(value)}
