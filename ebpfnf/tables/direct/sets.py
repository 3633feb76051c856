"""Tables that packets fill, shared by all CPUs: sets of eight entries, each key in one of two sets, claimed by 64-bit compare-and-swap.

    u64 seed; then, from 64 on, eight state words a set (one cache line); then the entries: key, value

A state word holds 32 bits of the key's hash, when the entry was last found (in ticks of jiffies64 >> 6), and whether it is VALID, or BUSY:
claimed by a CPU that still writes its key and value. Who publishes an entry looks whether another CPU published the same key meanwhile:
the one at the higher place goes. The seed is drawn by the first packet, so that nobody outside can choose keys that meet in a set.
"""

from __future__ import annotations

import struct

from ebpfnf.model import Table
from ebpfnf.tables.direct.exact import K1, K2
from ebpfnf.tables.direct.place import HEADER, LINE, stagger, up

WAYS = 8
VALID, BUSY, BY_HAND = 1, 2, 4  # bits of a state; by hand: claimed by the agent, which may be killed before it publishes
_M = (1 << 64) - 1
_SPARE = 8  # sets beyond half as much again as `size`: few sets fill less evenly


def sets(size: int) -> int:
    """Sets of a table: half as much again as `size`, so that of 100,000 keys hardly one finds both its sets full before that."""
    return -(-size * 3 // (2 * WAYS)) + _SPARE


def stride(key_size: int, value_size: int) -> int:
    """Bytes of an entry."""
    return up(key_size, 8) + up(value_size, 8)


def entries_at(table: Table) -> int:
    """Where the entries begin, from the table's beginning."""
    return HEADER + LINE * sets(table.size)


def map_size(table: Table, key_size: int, value_size: int) -> int:
    """Bytes of the value of the map behind such a table."""
    return stagger(table) + entries_at(table) + WAYS * sets(table.size) * stride(key_size, value_size)


def mixed(key: bytes, seed: int) -> int:
    """64 bits of hash over a key padded to words, in two lanes that a CPU computes at once: direct_mix in direct.h does the same."""
    lanes = [seed, seed ^ K2]
    for place, word in enumerate(struct.unpack(f"={len(key) // 8}Q", key)):
        lanes[place & 1] = _mix(lanes[place & 1], word)
    h = _mix(*lanes) * K2 & _M
    return h ^ h >> 29


def homes(table: Table, key: bytes, seed: int) -> tuple[int, int, int]:
    """The two sets of a key, padded to words, and the hash bits in its state."""
    h, count = mixed(key, seed), sets(table.size)
    return (h >> 32) * count >> 32, (h & 0xFFFFFFFF) * count >> 32, h >> 32


def _mix(h: int, word: int) -> int:
    h = (h ^ word) * K1 & _M
    return h ^ h >> 32
