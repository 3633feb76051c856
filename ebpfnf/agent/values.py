"""A JSON value in a pinned map: what must live exactly as long as the programs that it tells about."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from typing import Any

from ebpfnf.kernel import maps, pins
from ebpfnf.kernel.maps import Map

_KEY = bytes(4)
_LENGTH = struct.Struct("=I")
_LIMIT = 64 << 20


def write(path: str, value: Any, name: str) -> None:
    """Pin `value` at `path`, in place of what stood there: a reader sees the one or the other, whole."""
    packed = zlib.compress(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), 6)
    with Map(maps.create("array", 4, _LENGTH.size + len(packed), 1, name=name)) as made:
        made.update(_KEY, _LENGTH.pack(len(packed)) + packed)
        # The map is made to measure and never changes: a second, pinned beside it, takes its place by rename.
        temporary = path + "-new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        pins.pin(made.fd, temporary)
    os.rename(temporary, path)


def read(path: str) -> tuple[int, Any]:
    """The id of the map and its value; (0, None) where there is none that can be read."""
    try:
        with Map.open(path) as found:
            data = found.lookup(_KEY) or b""
            length = _LENGTH.unpack_from(data)[0]
            inflate = zlib.decompressobj()
            return found.id, json.loads(inflate.decompress(data[_LENGTH.size : _LENGTH.size + length], _LIMIT))
    except (OSError, ValueError, struct.error, zlib.error):
        return 0, None
