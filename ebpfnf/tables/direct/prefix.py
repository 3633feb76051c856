"""Prefixes in a half: count, the roots of both IP versions, a cell for each prefix (key, value), then nodes and tails."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from ebpfnf.errors import TableError
from ebpfnf.model import Table
from ebpfnf.tables.direct.place import LINE, Space, up
from ebpfnf.tables.direct.trie import V4, V6, most_bytes, plant, root_bits

KEY = 24  # as layout.encode_key makes it: u32 length (32 bits of family before the address), u32 family, address
_ENOUGH = 8 << 20  # room below the roots: for the worst that `size` prefixes can need, or this, or half as much again as the file needs


def cells_at(table: Table) -> int:
    """Where the cells begin."""
    return LINE + 2 * (4 << root_bits(table.size))


def stride(value_size: int) -> int:
    """Bytes of a cell."""
    return KEY + up(value_size, 8)


def build(table: Table, value_size: int, rows: Mapping[bytes, bytes]) -> bytes:
    """The half that holds these keys and values."""
    start, step, bits = cells_at(table), stride(value_size), root_bits(table.size)
    space = Space(up(start + table.size * step, LINE))
    struct.pack_into("=I", space.data, 0, len(rows))
    items: dict[int, list[tuple[int, int, int]]] = {4: [], 6: []}
    at = start
    for key, value in rows.items():
        length, version = struct.unpack_from("=II", key)
        place = at + KEY >> 3
        if version == 4:
            items[4].append((int.from_bytes(key[20:], "big"), length - 128, place))
        else:
            items[6].append((int.from_bytes(key[8:], "big"), length - 32, place))
        space.data[at : at + KEY + value_size] = key + value
        at += step
    plant(space, LINE, bits, V4, items[4])
    plant(space, LINE + (4 << bits), bits, V6, items[6])
    if table.room and len(space.data) > table.room:
        raise TableError(
            f"table '{table.name}' is full: its prefixes need {len(space.data)} bytes, it has {table.room}", cure="deploy again"
        )
    return bytes(space.data)


def read(table: Table, value_size: int, half: memoryview) -> dict[bytes, bytes]:
    """The keys and values of a half."""
    start, step = cells_at(table), stride(value_size)
    count = struct.unpack_from("=I", half)[0]
    data = bytes(half[start : start + count * step])
    return {data[at : at + KEY]: data[at + KEY : at + KEY + value_size] for at in range(0, count * step, step)}


def room(table: Table, used: int) -> int:
    """Bytes of a half for a table whose entries need `used`."""
    start = up(cells_at(table) + table.size * stride(0), LINE)
    return up(used + min(most_bytes(table.size), max(_ENOUGH, (used - start) // 2)), LINE)
