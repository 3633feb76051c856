"""A trie over addresses: a root of 16 bits, then nodes of 4 bits, each one cache line; few prefixes have a root of 8 bits, and IPv4
nodes of 8 bits too, which is 3 steps at most.

A cell holds the place of what the longest prefix says (an offset in 8 bytes, 0: nothing), a node (an offset in 64 bytes), or a tail:
where only one prefix is left below, its bits are compared at once, so that a lonely /128 costs one step and 40 bytes. At most 4 steps
for IPv4 and 30 for the rest follow the root. Everything is an offset in the half in which it lies.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from ebpfnf.tables.direct.place import Space

NODE, TAIL = 1 << 31, 1 << 30
TAIL_SIZE = 40  # u64 value[2], mask[2]; u32 hit, miss
_MAPPED = 0xFFFF << 32  # ::ffff:0:0/96
Item = tuple[int, int, int]  # bits, left-aligned in the family's width; length; place


@dataclass(frozen=True, slots=True)
class Family:
    """An IP version: the bits of an address."""

    width: int

    def stride(self, root: int) -> int:
        """Bits of a node."""
        return 8 if self.width == 32 and root == 8 else 4


V4, V6 = Family(32), Family(128)


def root_bits(entries: int) -> int:
    """Bits of the root for tables of this size: 1 KiB where few prefixes are, else 256 KiB and two steps less."""
    return 8 if entries <= 256 else 16


def plant(space: Space, at: int, bits: int, family: Family, items: Iterable[Item], none: int = 0) -> None:
    """Write the root with its `1 << bits` cells at `at`, which is reserved, and all that is below behind what `space` holds."""
    cells = _cells(space, family, list(items), 0, (bits, family.stride(bits)), none)
    space.data[at : at + 4 * len(cells)] = cells.tobytes()


def most_bytes(entries: int) -> int:
    """Bytes below the roots that `entries` prefixes can need at most."""
    return entries * ((3 * 1024 if root_bits(entries) == 8 else 28 * 64) + TAIL_SIZE)


def _cells(space: Space, family: Family, items: list[Item], depth: int, strides: tuple[int, int], inherited: int) -> array[int]:
    """The cells of a node, `strides[0]` bits wide; what is below it is `strides[1]` bits wide."""
    bits, stride = strides
    cells = array("I", [inherited]) * (1 << bits)
    end, mask = depth + bits, (1 << bits) - 1
    shift = family.width - end
    below: dict[int, list[Item]] = {}
    here: list[Item] = []
    for item in items:
        if item[1] <= end:
            here.append(item)
        else:
            below.setdefault(item[0] >> shift & mask, []).append(item)
    for value, length, place in sorted(here, key=lambda item: item[1]):
        first, count = value >> shift & mask, 1 << end - length
        cells[first : first + count] = array("I", [place]) * count
    for index, inner in below.items():
        if len(inner) == 1:
            cells[index] = TAIL | space.put(_tail(family, inner[0], cells[index]), 8) >> 3
        else:
            node = _cells(space, family, inner, end, (stride, stride), cells[index])
            cells[index] = NODE | space.put(node.tobytes(), 64) >> 6
    return cells


def _tail(family: Family, item: Item, miss: int) -> bytes:
    value, length, hit = item
    if family.width == 32:
        value, length = _MAPPED | value, 96 + length
    mask = (1 << length) - 1 << 128 - length
    return value.to_bytes(16, "big") + mask.to_bytes(16, "big") + struct.pack("=II", hit, miss)
