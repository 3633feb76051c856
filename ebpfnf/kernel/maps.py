"""Kernel maps: make, read, write."""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from types import TracebackType

from ebpfnf.kernel.syscall import BpfError, Command, address, bpf, info, possible_cpus

KINDS = {
    "hash": 1,
    "array": 2,
    "prog_array": 3,
    "percpu_hash": 5,
    "percpu_array": 6,
    "lru_hash": 9,
    "lpm_trie": 11,
    "array_of_maps": 12,
    "devmap": 14,
}
_NAMES = {number: kind for kind, number in KINDS.items()}
_PERCPU = ("percpu_hash", "percpu_array")

# flags of create
NO_PREALLOC = 1 << 0
RDONLY_PROG = 1 << 7
MMAPABLE = 1 << 10
INNER_MAP = 1 << 12  # an array that stands in for inner arrays of other lengths

# flags of update
ANY, NOEXIST, EXIST = 0, 1, 2

_ENOTSUPP = 524
_UNSUPPORTED = (errno.EINVAL, errno.EOPNOTSUPP, _ENOTSUPP)
_BATCH = 4096


def create(kind: str, key_size: int, value_size: int, max_entries: int, flags: int = 0, name: str = "", inner_fd: int | None = None) -> int:
    """A new map's fd. `inner_fd` is a map such as those that an array_of_maps will hold."""
    shown = "".join(c if c.isalnum() else "_" for c in name)[:15].encode("ascii", "replace")
    attr = struct.pack("=7I16s", KINDS[kind], key_size, value_size, max_entries, flags, inner_fd or 0, 0, shown)
    return bpf(Command.MAP_CREATE, bytearray(attr + bytes(28)))


def freeze(fd: int) -> None:
    """No more writes through bpf(2), for ever."""
    bpf(Command.MAP_FREEZE, bytearray(struct.pack("=I", fd)))


def open_id(map_id: int) -> int:
    """An fd of the map with this id (what an array_of_maps holds)."""
    return bpf(Command.MAP_GET_FD_BY_ID, bytearray(struct.pack("=III", map_id, 0, 0)))


class _Buffers:
    """What the kernel reads keys from and writes values to; `attr` says where they are."""

    def __init__(self, fd: int, key_size: int, length: int) -> None:
        self.key, self.value = bytearray(max(1, key_size)), bytearray(length)
        self.attr = bytearray(struct.pack("=IIQQQ", fd, 0, address(self.key), address(self.value), 0))


class Map:
    """A map by its fd, which it owns: `close` closes it. Keys and values are bytes of exactly the map's sizes."""

    def __init__(self, fd: int) -> None:
        if not os.readlink(f"/proc/self/fd/{fd}").endswith("bpf-map"):
            raise BpfError(errno.EINVAL, "not a map")
        number, self.id, self.key_size, self.value_size, self.max_entries, self.flags = struct.unpack_from("=6I", info(fd, 88))
        self.fd = fd
        self.kind = _NAMES.get(number, str(number))
        self.per_cpu = self.kind in _PERCPU
        self._stride = (self.value_size + 7) & ~7 if self.per_cpu else self.value_size
        self._length = self._stride * possible_cpus() if self.per_cpu else self.value_size
        self._made: _Buffers | None = None

    @property
    def _buffers(self) -> _Buffers:
        """One set a map, so that a lookup allocates nothing but its result; made when first needed: large tables are mapped instead."""
        if self._made is None:
            self._made = _Buffers(self.fd, self.key_size, self._length)
        return self._made

    @classmethod
    def open(cls, path: str) -> Map:
        """The map pinned at `path`."""
        name = bytearray(os.fsencode(path) + b"\0")
        fd = bpf(Command.OBJ_GET, bytearray(struct.pack("=QII", address(name), 0, 0)))
        try:
            return cls(fd)
        except BaseException:
            os.close(fd)
            raise

    def lookup(self, key: bytes) -> bytes | None:
        """The value of `key`, None where there is none. Of a map of maps: the inner map's id; of a prog array: the program's."""
        if self.per_cpu:
            raise ValueError(f"map of kind {self.kind}: lookup_percpu reads it")
        return bytes(self._buffers.value) if self._get(key) else None

    def lookup_percpu(self, key: bytes) -> list[bytes] | None:
        """The value of `key` on each possible CPU, None where there is none."""
        if not self.per_cpu:
            raise ValueError(f"map of kind {self.kind}: lookup reads it")
        return self._split(bytes(self._buffers.value)) if self._get(key) else None

    def update(self, key: bytes, value: bytes | list[bytes], flags: int = ANY) -> None:
        """Write `value`; a list has a value for each possible CPU. Maps and programs are given by fd, as u32."""
        buffers = self._buffers
        buffers.key[:] = self._fit(key, self.key_size, "key")
        buffers.value[:] = self._join(value)
        struct.pack_into("=Q", buffers.attr, 24, flags)
        bpf(Command.MAP_UPDATE_ELEM, buffers.attr)

    def update_many(self, items: Iterable[tuple[bytes, bytes | list[bytes]]]) -> None:
        """Write many entries, in few calls where the kernel can; entries before a refused one stay."""
        pairs = [(self._fit(key, self.key_size, "key"), value) for key, value in items]
        at = 0
        while at < len(pairs):
            part = pairs[at : at + _BATCH]
            keys = bytearray(b"".join(key for key, _ in part))
            values = bytearray(b"".join(self._join(value) for _, value in part))
            attr = bytearray(struct.pack("=QQQQIIQQ", 0, 0, address(keys), address(values), len(part), self.fd, ANY, 0))
            try:
                bpf(Command.MAP_UPDATE_BATCH, attr)
            except BpfError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                for key, value in part:
                    self.update(key, value)
            at += len(part)

    def delete(self, key: bytes) -> bool:
        """Remove `key`; False where it was not there."""
        wanted = bytearray(self._fit(key, self.key_size, "key"))
        try:
            bpf(Command.MAP_DELETE_ELEM, bytearray(struct.pack("=IIQQQ", self.fd, 0, address(wanted), 0, 0)))
        except BpfError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def keys(self) -> Iterator[bytes]:
        """Each key once. A key that is removed meanwhile sends the kernel back to the first: known keys are not given again."""
        seen: set[bytes] = set()
        last, following = bytearray(self.key_size), bytearray(self.key_size)
        walk = bytearray(struct.pack("=IIQQQ", self.fd, 0, 0, address(following), 0))
        first, repeated = True, 0
        while repeated <= self.max_entries:
            struct.pack_into("=Q", walk, 8, 0 if first else address(last))
            try:
                bpf(Command.MAP_GET_NEXT_KEY, walk)
            except BpfError as error:
                if error.errno == errno.ENOENT:
                    return
                raise
            first = False
            last[:] = following
            key = bytes(last)
            if key in seen:
                repeated += 1
                continue
            seen.add(key)
            yield key

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of each entry, in few calls where the kernel can. Per-CPU kinds: `items_percpu`."""
        if self.per_cpu:
            raise ValueError(f"map of kind {self.kind}: items_percpu reads it")
        return self._items()

    def count(self) -> int:
        """How many entries there are, without making a pair of each."""
        return sum(count for _, _, count in self._batches())

    def items_percpu(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """Key and the value on each possible CPU of each entry."""
        if not self.per_cpu:
            raise ValueError(f"map of kind {self.kind}: items reads it")
        for key, value in self._items():
            yield key, self._split(value)

    def mmap(self) -> mmap.mmap:
        """The values of an array made with MMAPABLE, as memory shared with the programs."""
        size = ((self.value_size + 7) & ~7) * self.max_entries
        return mmap.mmap(self.fd, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)

    def memory(self, start: int, end: int) -> memoryview:
        """Bytes `start` to `end` of that memory; only their pages are mapped, until the last view of them is gone."""
        first = start // mmap.PAGESIZE * mmap.PAGESIZE
        length = -(-(end - first) // mmap.PAGESIZE) * mmap.PAGESIZE
        return memoryview(mmap.mmap(self.fd, length, offset=first))[start - first : end - first]

    def close(self) -> None:
        """Close the fd; closing twice is fine."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Map:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _get(self, key: bytes) -> bool:
        buffers = self._buffers
        buffers.key[:] = self._fit(key, self.key_size, "key")
        struct.pack_into("=Q", buffers.attr, 24, 0)
        try:
            bpf(Command.MAP_LOOKUP_ELEM, buffers.attr)
        except BpfError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def _items(self) -> Iterator[tuple[bytes, bytes]]:
        key, length = self.key_size, self._length
        for keys, values, count in self._batches():
            for i in range(count):
                yield bytes(keys[i * key : (i + 1) * key]), bytes(values[i * length : (i + 1) * length])

    def _batches(self) -> Iterator[tuple[bytearray, bytearray, int]]:
        """Keys and values of many entries, and how many."""
        count = min(_BATCH, self.max_entries)
        token = bytearray(max(4, self.key_size))
        first = True
        while True:
            keys, values = bytearray(self.key_size * count), bytearray(self._length * count)
            start = 0 if first else address(token)
            attr = bytearray(struct.pack("=QQQQIIQQ", start, address(token), address(keys), address(values), count, self.fd, 0, 0))
            end = False
            try:
                bpf(Command.MAP_LOOKUP_BATCH, attr)
            except BpfError as error:
                if first and error.errno in _UNSUPPORTED:
                    yield from ((bytearray(key), bytearray(value), 1) for key, value in self._one_by_one())
                    return
                if error.errno == errno.ENOSPC and count < self.max_entries:  # a hash bucket with more entries than the batch
                    count = min(count * 4, self.max_entries)
                    continue
                if error.errno != errno.ENOENT:
                    raise
                end = True
            first = False
            yield keys, values, struct.unpack_from("=I", attr, 32)[0]
            if end:
                return

    def _one_by_one(self) -> Iterator[tuple[bytes, bytes]]:
        for key in self.keys():
            if self._get(key):
                yield key, bytes(self._buffers.value)

    def _split(self, value: bytes) -> list[bytes]:
        return [value[at : at + self.value_size] for at in range(0, self._length, self._stride)]

    def _join(self, value: bytes | list[bytes]) -> bytes:
        if not self.per_cpu:
            return self._fit(value, self.value_size, "value")
        if not isinstance(value, list) or len(value) * self._stride != self._length:
            raise ValueError(f"map of kind {self.kind}: a value for each of {self._length // self._stride} CPUs is wanted")
        return b"".join(self._fit(one, self.value_size, "value").ljust(self._stride, b"\0") for one in value)

    @staticmethod
    def _fit(data: bytes | list[bytes], size: int, what: str) -> bytes:
        # the kernel would read or write past the end of anything shorter
        if not isinstance(data, bytes | bytearray | memoryview) or len(data) != size:
            given = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
            raise ValueError(f"a {what} of {size} bytes is wanted, not {given}")
        return bytes(data)
