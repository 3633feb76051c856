"""Direct tables that packets fill, as the agent reads and changes them: it claims entries as a CPU does."""

from __future__ import annotations

import os
import struct
import sys

from ebpfnf.errors import TableError
from ebpfnf.kernel.atomic import compare_and_swap
from ebpfnf.kernel.maps import Map
from ebpfnf.model import Table
from ebpfnf.tables.direct.place import HEADER, stagger, up
from ebpfnf.tables.direct.sets import BUSY, BY_HAND, VALID, WAYS, entries_at, homes, sets, states, stride
from ebpfnf.tables.layout import key_type, value_type

_TIME = 0xFFFF << 16  # of a state: when it was last found
_TRIES = 16


def is_shared(table: Table) -> bool:
    """Whether the table is addressed directly and filled by packets of all CPUs."""
    return table.backing == "direct" and table.filled_by == "packets" and table.kind in ("exact", "connections")


def rows(table: Table, live: Map) -> dict[bytes, bytes]:
    """Encoded keys and values of all entries; one that is given away while it is read is left out."""
    memory = _memory(table, live)
    found = {}
    for slot, state in states(table, memory):
        if state & VALID:
            key, value = _entry(table, memory, slot)
            if not (_state(memory, slot) ^ state) & ~_TIME:
                found[key] = value
    return found


def get(table: Table, live: Map, key: bytes) -> bytes | None:
    """The value of a key."""
    memory = _memory(table, live)
    slot = _find(table, memory, key)
    return None if slot is None else _entry(table, memory, slot)[1]


def put(table: Table, live: Map, key: bytes, value: bytes) -> bool:
    """Write an entry, True where it is new. What is there is overwritten in place, field by field, as packets do."""
    memory = _memory(table, live)
    if not struct.unpack_from("=Q", memory)[0]:  # no packet was here yet: the seed is drawn now
        compare_and_swap(live.fd, stagger(table), 0, int.from_bytes(os.urandom(8), "little") | 1)
    slot = _find(table, memory, key)
    if slot is not None:
        at = _at(table, slot) + up(len(key), 8)
        memory[at : at + len(value)] = value
        return False
    for stale, state in states(table, memory):
        if state & BY_HAND:  # whoever claimed it was killed: writers hold the deployment's lock
            _swap(table, live, stale, state, 0)
    tag, slots = _homes(table, memory, key)
    for slot in slots:
        if not _state(memory, slot) and _swap(table, live, slot, 0, tag << 32 | BUSY | BY_HAND):
            at = _at(table, slot)
            padded = key.ljust(up(len(key), 8), b"\0") + value
            memory[at : at + len(padded)] = padded
            _swap(table, live, slot, tag << 32 | BUSY | BY_HAND, tag << 32 | VALID | _newest(table, memory))
            _alone(table, live, memory, key, slot)
            return True
    raise TableError(f"table '{table.name}' is full: no room for this key, its two sets hold {2 * WAYS}")


def delete(table: Table, live: Map, key: bytes) -> bool:
    """Remove an entry; False where there was none."""
    memory = _memory(table, live)
    for _ in range(_TRIES):
        slot = _find(table, memory, key)
        if slot is None:
            return False
        state = _state(memory, slot)
        if state & VALID and _entry(table, memory, slot)[0] == key and _swap(table, live, slot, state, 0):
            return True
    raise TableError(f"table '{table.name}': the entry is in use by too many packets", cure="try again")


def present(table: Table, live: Map) -> int:
    """How many entries there are: the lowest bits of all states, counted as those of one number."""
    count = WAYS * sets(table.size)
    words = int.from_bytes(_memory(table, live)[HEADER : HEADER + 8 * count], sys.byteorder)
    return (words & int.from_bytes(VALID.to_bytes(8, sys.byteorder) * count, sys.byteorder)).bit_count()


def _memory(table: Table, live: Map) -> memoryview:
    return memoryview(live.mmap())[stagger(table) :]


def _at(table: Table, slot: int) -> int:
    return entries_at(table) + slot * stride(key_type(table).size, value_type(table).size)


def _entry(table: Table, memory: memoryview, slot: int) -> tuple[bytes, bytes]:
    at, key, value = _at(table, slot), key_type(table).size, value_type(table).size
    return bytes(memory[at : at + key]), bytes(memory[at + up(key, 8) : at + up(key, 8) + value])


def _state(memory: memoryview, slot: int) -> int:
    return int(memory[HEADER + 8 * slot : HEADER + 8 * slot + 8].cast("Q")[0])


def _homes(table: Table, memory: memoryview, key: bytes) -> tuple[int, list[int]]:
    """The hash bits in a key's state, and the slots where it may be."""
    seed: int = struct.unpack_from("=Q", memory)[0]
    one, two, tag = homes(table, key.ljust(up(len(key), 8), b"\0"), seed)
    return tag, [*range(WAYS * one, WAYS * (one + 1)), *range(WAYS * two, WAYS * (two + 1))]


def _find(table: Table, memory: memoryview, key: bytes) -> int | None:
    tag, slots = _homes(table, memory, key)
    for slot in slots:
        state = _state(memory, slot)
        if state & VALID and state >> 32 == tag and _entry(table, memory, slot)[0] == key:
            return slot
    return None


def _newest(table: Table, memory: memoryview) -> int:
    """The time of the entry that was found last, as near as the agent comes to the kernel's clock of jiffies."""
    return max((state & _TIME for _, state in states(table, memory)), default=0)


def _alone(table: Table, live: Map, memory: memoryview, key: bytes, mine: int) -> None:
    """Where a packet made the same entry meanwhile, ours goes."""
    tag, slots = _homes(table, memory, key)
    for slot in slots:
        state = _state(memory, slot)
        if slot != mine and state & VALID and state >> 32 == tag and _entry(table, memory, slot)[0] == key:
            _swap(table, live, max(slot, mine), _state(memory, max(slot, mine)), 0)
            return


def _swap(table: Table, live: Map, slot: int, expected: int, wanted: int) -> bool:
    return compare_and_swap(live.fd, stagger(table) + HEADER + 8 * slot, expected, wanted)
