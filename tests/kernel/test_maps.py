"""Maps: what is written is read, by every way that the kernel has, and nothing but bytes of the right size reaches it."""

from __future__ import annotations

import errno
import struct

import pytest

from ebpfnf.kernel import maps
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.syscall import BpfError, possible_cpus
from tests.kernel.handmade import u32

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize(("kind", "flags"), [("hash", 0), ("lru_hash", 0), ("array", 0)])
def test_written_is_read(kind: str, flags: int) -> None:
    with Map(maps.create(kind, 4, 8, 8, flags)) as table:
        table.update(u32(3), b"12345678")
        assert (table.kind, table.key_size, table.value_size, table.max_entries) == (kind, 4, 8, 8)
        assert table.lookup(u32(3)) == b"12345678"
        assert table.lookup(u32(99)) is None


def test_no_exist_and_exist() -> None:
    with Map(maps.create("hash", 4, 4, 8)) as table:
        with pytest.raises(BpfError) as missing:
            table.update(u32(1), u32(1), maps.EXIST)
        table.update(u32(1), u32(1), maps.NOEXIST)
        with pytest.raises(BpfError) as there:
            table.update(u32(1), u32(2), maps.NOEXIST)
        assert (missing.value.errno, there.value.errno) == (errno.ENOENT, errno.EEXIST)
        assert table.delete(u32(1)) and not table.delete(u32(1))


def test_a_lookup_after_a_conditional_update_is_not_conditional() -> None:
    with Map(maps.create("hash", 4, 4, 8)) as table:
        table.update(u32(1), u32(7), maps.NOEXIST)
        assert table.lookup(u32(1)) == u32(7)


@pytest.mark.parametrize(
    ("key", "value"), [(b"123", b"1234"), (b"12345", b"1234"), (b"1234", b"123"), (b"1234", b"12345"), (b"1234", [b"1234"])]
)
def test_wrong_sizes_never_reach_the_kernel(key: bytes, value: bytes) -> None:
    with Map(maps.create("hash", 4, 4, 8)) as table, pytest.raises(ValueError, match="4 bytes is wanted"):
        table.update(key, value)


@pytest.mark.parametrize("kind", ["hash", "lru_hash"])
@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 4097, 10000])
def test_all_entries_come_back_in_batches_and_one_by_one(kind: str, count: int) -> None:
    entries = {u32(i): struct.pack("=Q", i * i) for i in range(count)}
    with Map(maps.create(kind, 4, 8, 20000)) as table:
        table.update_many(entries.items())
        assert dict(table.items()) == entries and table.count() == count
        assert sorted(table.keys()) == sorted(entries)
        assert dict(table._one_by_one()) == entries


def test_entries_of_a_full_small_hash_come_in_one_bucket_or_many() -> None:
    for size in (1, 2, 3, 5):
        with Map(maps.create("hash", 4, 4, size)) as table:
            table.update_many((u32(i), u32(i)) for i in range(size))
            assert len(dict(table.items())) == size


def test_keys_end_though_entries_are_removed_while_reading() -> None:
    with Map(maps.create("hash", 4, 4, 512)) as table:
        table.update_many((u32(i), u32(i)) for i in range(512))
        seen = []
        for key in table.keys():  # noqa: SIM118 - a map is no dict
            seen.append(key)
            table.delete(key)
        assert sorted(seen) == sorted(u32(i) for i in range(512))


def test_prefixes_longest_match_wins() -> None:
    def prefix(length: int, address: int) -> bytes:
        return u32(length) + address.to_bytes(4, "big")

    with Map(maps.create("lpm_trie", 8, 4, 8, maps.NO_PREALLOC)) as table:
        table.update_many([(prefix(8, 10 << 24), u32(1)), (prefix(16, 10 << 24 | 1 << 16), u32(2))])
        assert table.lookup(prefix(32, 10 << 24 | 1 << 16 | 5)) == u32(2)
        assert table.lookup(prefix(32, 10 << 24 | 2 << 16 | 5)) == u32(1)
        assert table.lookup(prefix(32, 11 << 24)) is None
        assert len(dict(table.items())) == 2


@pytest.mark.parametrize("kind", ["percpu_array", "percpu_hash"])
@pytest.mark.parametrize("size", [4, 8, 12])
def test_per_cpu_values_keep_their_cpu(kind: str, size: int) -> None:
    values = [bytes([cpu + 1]) * size for cpu in range(possible_cpus())]
    with Map(maps.create(kind, 4, size, 4)) as table:
        table.update(u32(2), values)
        assert table.lookup_percpu(u32(2)) == values
        assert dict(table.items_percpu())[u32(2)] == values
        with pytest.raises(ValueError, match="lookup_percpu"):
            table.lookup(u32(2))
        with pytest.raises(ValueError, match="CPUs is wanted"):
            table.update(u32(2), bytes(size))


def test_frozen_means_no_more_writes() -> None:
    with Map(maps.create("array", 4, 8, 1, maps.RDONLY_PROG)) as table:
        table.update(u32(0), b"constant")
        maps.freeze(table.fd)
        with pytest.raises(BpfError) as refused:
            table.update(u32(0), b"changed!")
        assert refused.value.errno == errno.EPERM
        assert table.lookup(u32(0)) == b"constant"


def test_mapped_memory_is_the_map() -> None:
    with Map(maps.create("array", 4, 24, 3, maps.MMAPABLE)) as table:
        memory = table.mmap()
        table.update(u32(1), b"x" * 24)
        assert memory[24:48] == b"x" * 24
        memory[48:56] = b"whatever"
        assert (table.lookup(u32(2)) or b"").startswith(b"whatever")
        memory.close()


def test_an_inner_map_is_replaced_whole_and_may_be_longer_with_the_flag() -> None:
    flag = maps.INNER_MAP
    with Map(maps.create("array", 4, 8, 1, flag)) as small, Map(maps.create("array", 4, 8, 9, flag)) as large:
        with Map(maps.create("array_of_maps", 4, 4, 1, inner_fd=small.fd)) as outer:
            for inner in (small, large):
                outer.update(u32(0), u32(inner.fd))
                assert outer.lookup(u32(0)) == u32(inner.id)
        with Map(maps.open_id(large.id)) as again:
            assert again.max_entries == 9


def test_a_prog_array_cannot_be_an_inner_map() -> None:
    with Map(maps.create("prog_array", 4, 4, 1)) as chain, pytest.raises(BpfError) as refused:
        maps.create("array_of_maps", 4, 4, 1, inner_fd=chain.fd)
    assert refused.value.errno == 524 and "not supported" in str(refused.value)


def test_a_device_map_wants_an_interface_that_is() -> None:
    with Map(maps.create("devmap", 4, 4, 3)) as ports:
        ports.update(u32(1), u32(1))
        assert ports.lookup(u32(1)) == u32(1)
        with pytest.raises(BpfError) as refused:
            ports.update(u32(2), u32(0x7FFFFFF0))
        assert refused.value.errno == errno.EINVAL


def test_what_is_no_map_is_refused() -> None:
    with open("/dev/null", "rb") as file, pytest.raises(BpfError, match="not a map"):
        Map(file.fileno())


def test_closing_twice_is_fine() -> None:
    table = Map(maps.create("array", 4, 4, 1))
    table.close()
    table.close()
