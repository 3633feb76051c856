"""Consistent hashing: Maglev's table (Eisenbud et al., NSDI 2016, section 3.4), as one blob that is replaced as a whole.

    u32 count; u16 slot[SLOTS]; u8 present[size]; value values[size]

A slot holds the number (from 1) of an entry, 0 for none. An entry's preferences come from its contents alone, not from its
number or place, so that hosts agree and most connections stay where they are when others come and go.
"""

from __future__ import annotations

import hashlib
import json
import struct
from array import array
from collections.abc import Mapping
from typing import Any

from ebpfnf.tables.types import Type

SLOTS = 65537  # a prime, over 100 times the backends of any table: shares differ by less than 1 %
_PRESENT_AT = 4 + 2 * SLOTS


def fill(names: Mapping[int, bytes]) -> array[int]:
    """The slots for entries (number -> what identifies it): each takes its next preferred free slot in turn."""
    slots = array("H", bytes(2 * SLOTS))
    turns = []
    for number, name in sorted(names.items(), key=lambda item: item[1]):
        digest = hashlib.blake2b(name, digest_size=16).digest()
        offset, skip = struct.unpack("<QQ", digest)
        turns.append([number, offset % SLOTS, skip % (SLOTS - 1) + 1])
    free = SLOTS if turns else 0
    while free:
        for turn in turns:
            number, at, skip = turn
            while slots[at]:
                at += skip
                if at >= SLOTS:
                    at -= SLOTS
            slots[at] = number
            turn[1] = at
            free -= 1
            if not free:
                break
    return slots


def identity(value: Any) -> bytes:
    """What an entry is told by: its contents but for `index`, its place in the list."""
    if isinstance(value, Mapping):
        value = {name: content for name, content in value.items() if name != "index"}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def values_at(size: int) -> int:
    """Offset of the values."""
    return -(-(_PRESENT_AT + size) // 8) * 8


def blob_size(size: int, value: Type) -> int:
    """Bytes of a table of `size` entries at most."""
    return values_at(size) + size * value.size


def encode_blob(size: int, value: Type, entries: Mapping[int, Any]) -> bytes:
    """The table: number (1 to size) -> canonical value."""
    blob = bytearray(blob_size(size, value))
    struct.pack_into("=I", blob, 0, len(entries))
    blob[4:_PRESENT_AT] = fill({number: identity(content) for number, content in entries.items()}).tobytes()
    for number, content in entries.items():
        blob[_PRESENT_AT + number - 1] = 1
        at = values_at(size) + (number - 1) * value.size
        blob[at : at + value.size] = value.encode(content)
    return bytes(blob)


def decode_blob(size: int, value: Type, blob: bytes) -> dict[int, Any]:
    """What `encode_blob` was given."""
    start = values_at(size)
    present = [n for n in range(size) if blob[_PRESENT_AT + n]]
    return {n + 1: value.decode(blob[start + n * value.size : start + (n + 1) * value.size]) for n in present}
