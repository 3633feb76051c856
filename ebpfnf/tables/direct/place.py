"""Where a direct table lies in its map, and how the bytes of a half are put together."""

from __future__ import annotations

import zlib

from ebpfnf.model import Table

MMAPABLE = 1 << 10  # BPF_F_MMAPABLE: the agent writes words that programs see at once, each whole
HEADER = 64  # u64 state, nothing (direct_zero in direct.h), settled, made
FILLED, SECOND, SECOND_SMALL = 1, 2, 4  # bits of the state: filled once; which half is live; acl: which small part is live
TURN = 1 << 8  # what the state grows by with each change
SETTLED, MADE = 2, 3  # words of the header: the last state after which every packet sees the live parts only; how often a half was written
LARGEST = 256 << 20  # bytes of a table, both halves; the verifier takes no offset from 512 MiB on
LINE = 64


def stagger(table: Table) -> int:
    """Where in its map a table begins. Values that can be mapped begin on a page: unstaggered, the first lines of all tables
    would meet in the same sets of the cache, and a packet that passes many tables would miss on each."""
    return LINE * (zlib.crc32(table.name.encode()) % 64)


def up(number: int, align: int) -> int:
    """The next multiple of `align`."""
    return -(-number // align) * align


class Space:
    """Bytes that grow, with things put at aligned offsets."""

    def __init__(self, reserved: int) -> None:
        self.data = bytearray(reserved)

    def put(self, data: bytes, align: int) -> int:
        """The offset at which `data` now stands."""
        at = up(len(self.data), align)
        self.data += bytes(at - len(self.data))
        self.data += data
        return at
