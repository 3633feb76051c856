"""Exact keys in a half: buckets of four entries, each key in one of two buckets. A word of four 16-bit tags says what a bucket holds.

Whoever finds both buckets full moves another key to its second bucket; where that does not end, the whole is hashed with another seed.
So no key is ever lost. What fits into one bucket lies in the first, and packets go through it without a hash.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from ebpfnf.errors import TableError
from ebpfnf.model import Table
from ebpfnf.tables.direct.place import LINE, up

WAYS = 4
_MOVES, _SEEDS = 500, 64
_M = (1 << 64) - 1
K1, K2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9  # as DIRECT_K1, DIRECT_K2 in direct.h


def buckets(size: int) -> int:
    """Buckets for `size` keys: at most 70 % full."""
    return -(-size * 10 // (7 * WAYS))


def stride(key_size: int, value_size: int) -> int:
    """Bytes of an entry."""
    return up(key_size, 8) + up(value_size, 8)


def entries_at(table: Table) -> int:
    """Where the entries begin."""
    return up(LINE + 8 * buckets(table.size), LINE)


def half_size(table: Table, key_size: int, value_size: int) -> int:
    """Bytes of a half."""
    return up(entries_at(table) + WAYS * buckets(table.size) * stride(key_size, value_size), LINE)


def hashed(key: bytes, seed: int) -> int:
    """64 bits of hash over a key padded to words, as {table}_lookup in direct.c.j2 has them: only operators choose what is in here."""
    h = seed
    for word in struct.unpack(f"={len(key) // 8}Q", key):
        h = (h ^ word) * K1 & _M
    h = (h ^ h >> 32) * K2 & _M
    return h ^ h >> 29


def build(table: Table, key_size: int, value_size: int, rows: Mapping[bytes, bytes]) -> bytes:
    """The half that holds these keys and values."""
    if len(rows) > table.size:
        raise TableError(f"table '{table.name}' is full: no room for entries, it holds {table.size}")
    padded = [(key.ljust(up(key_size, 8), b"\0"), value) for key, value in rows.items()]
    for seed in range(_SEEDS):
        placed = _place([hashed(key, seed) for key, _ in padded], buckets(table.size) if len(padded) > WAYS else 1)
        if placed is not None:
            break
    else:
        raise TableError(f"table '{table.name}': its keys can't be placed", cure="raise the table's size")
    half = bytearray(half_size(table, key_size, value_size))
    struct.pack_into("=QI", half, 0, seed, len(rows))
    start, step = entries_at(table), stride(key_size, value_size)
    for slot, (number, tag) in placed.items():
        key, value = padded[number]
        struct.pack_into("=H", half, LINE + 2 * slot, tag)
        at = start + slot * step
        half[at : at + len(key) + value_size] = key + value
    return bytes(half)


def read(table: Table, key_size: int, value_size: int, half: memoryview) -> dict[bytes, bytes]:
    """The keys and values of a half."""
    start, step, padded = entries_at(table), stride(key_size, value_size), up(key_size, 8)
    tags = struct.unpack_from(f"={WAYS * buckets(table.size)}H", half, LINE)
    found = {}
    for slot, tag in enumerate(tags):
        if tag:
            at = start + slot * step
            found[bytes(half[at : at + key_size])] = bytes(half[at + padded : at + padded + value_size])
    return found


def _place(hashes: list[int], count: int) -> dict[int, tuple[int, int]] | None:
    """Slot -> (number of the key, its tag); None where a key finds no place."""
    held: list[list[int]] = [[] for _ in range(count)]
    homes = [((h >> 32) * count >> 32, (h & 0xFFFFFFFF) * count >> 32) for h in hashes]
    for number in range(len(hashes)):
        one, other = homes[number]
        moving, home = number, one if len(held[one]) < WAYS else other  # where it is looked for first, if that can be
        for turn in range(_MOVES):
            if len(held[home]) < WAYS:
                held[home].append(moving)
                break
            out = turn % WAYS  # whom to move: each in turn
            moving, held[home][out] = held[home][out], moving
            one, other = homes[moving]
            home = other if home == one else one
        else:
            return None
    return {
        WAYS * bucket + way: (number, hashes[number] & 0x7FFF | 0x8000)
        for bucket, inside in enumerate(held)
        for way, number in enumerate(inside)
    }
