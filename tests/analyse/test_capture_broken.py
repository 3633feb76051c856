"""Protects: a capture that lies or breaks off is named with its place, after all that came before it, in bounded memory."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ebpfnf.analyse.capture import Frame, Writer, reading
from ebpfnf.errors import CaptureError
from tests.analyse.capture_files import Blocks, pcap_header, record

FRAME = bytes(range(60))
B, BIG = Blocks(), Blocks(">")
HEAD = B.section() + B.interface()  # 28 and 20 bytes
LEAD = HEAD + B.packet(FRAME)  # 48 + 92


def outcome(path: Path, data: bytes) -> tuple[list[Frame], str]:
    """The frames before the error, and the error."""
    path.write_bytes(data)
    found: list[Frame] = []
    try:
        with reading(path) as frames:
            for frame in frames:
                found.append(frame)
    except CaptureError as error:
        assert error.where and error.where.file == str(path) and error.exit_code == 1
        return found, error.what
    return found, ""


# what is wrong, the file, how many frames come before, what is said
BROKEN = [
    ("empty", b"", 0, "byte 0: the file breaks off: 0 bytes, wanted 4"),
    ("text", b"port: wan\n", 0, "byte 0: magic 706f7274, wanted that of a pcap or pcapng file"),
    ("header cut", pcap_header()[:20], 0, "byte 4: the file's header breaks off: 16 bytes, wanted 20"),
    ("old version", pcap_header(version=(2, 2)), 0, "byte 4: pcap version 2.2, wanted 2.4"),
    ("cooked", pcap_header(link=113) + record(FRAME), 0, "byte 20: link type 113 (Linux cooked), wanted 1 (Ethernet)"),
    ("raw ip", pcap_header(link=101), 0, "byte 20: link type 101 (raw IP), wanted 1 (Ethernet)"),
    ("unnamed link", pcap_header(link=7777), 0, "byte 20: link type 7777, wanted 1 (Ethernet)"),
    (
        "record header cut",
        pcap_header() + record(FRAME) + record(FRAME)[:9],
        1,
        "byte 100: a record's header breaks off: 9 bytes, wanted 16",
    ),
    ("record cut", pcap_header() + record(FRAME) + record(FRAME)[:-1], 1, "byte 116: a record breaks off: 59 bytes, wanted 60"),
    (
        "huge record",
        pcap_header() + record(FRAME) + bytes(8) + b"\0\0\0\x80" * 2,
        1,
        "byte 108: a frame of 2147483648 bytes, wanted at most 262144",
    ),
    ("more than there was", pcap_header() + record(FRAME, length=59), 0, "byte 32: 60 bytes captured of a frame of 59"),
    ("no byte order", b"\n\r\r\n" + bytes(24), 0, "byte 8: byte-order magic 00000000, wanted 1a2b3c4d or 4d3c2b1a"),
    ("pcapng 2", B.section((2, 0)), 0, "byte 12: pcapng version 2.0, wanted 1.x"),
    ("section too short", B.section()[:4] + struct.pack("<I", 24) + B.section()[8:], 0, "byte 4: block length 24, wanted 28 to 1048576"),
    ("odd length", LEAD + B.block(6, bytes(32), length=45), 1, "byte 144: block length 45, wanted a multiple of 4"),
    ("no room", LEAD + B.block(0x99, b"", length=8), 1, "byte 144: block length 8, wanted 12 to 4294967296"),
    ("endless packet", LEAD + B.block(6, b"", length=1 << 30), 1, "byte 144: block length 1073741824, wanted 32 to 1048576"),
    ("endless unknown", LEAD + B.block(0x99, b"", length=1 << 31), 1, "byte 148: a block breaks off: 4 bytes, wanted 65536"),
    ("trailer", LEAD + B.block(6, B.packet(FRAME)[8:-4], trailer=91), 1, "byte 228: block length 91 behind the block, 92 before it"),
    ("no trailer", LEAD + B.packet(FRAME)[:-4], 1, "byte 228: a block breaks off: 0 bytes, wanted 4"),
    ("type cut", LEAD + b"\6\0", 1, "byte 140: a block's type breaks off: 2 bytes, wanted 4"),
    ("interface that is none", LEAD + B.packet(FRAME, interface=1), 1, "byte 148: a packet of interface 1, where 1 are described"),
    ("simple without interface", B.section() + B.simple(FRAME, 60), 0, "byte 36: a packet of interface 0, where 0 are described"),
    (
        "cooked interface",
        HEAD + B.interface(link=276) + B.packet(FRAME) + B.packet(FRAME, interface=1),
        1,
        "byte 56: link type 276 (Linux cooked v2), wanted 1 (Ethernet)",
    ),
    (
        "lying packet",
        LEAD + B.block(6, struct.pack("<5I", 0, 0, 0, 61, 61) + FRAME),
        1,
        "byte 160: 61 bytes captured, where the block has 60",
    ),
    ("lying simple", LEAD + B.simple(FRAME, 1500), 1, "byte 148: 1500 bytes captured, where the block has 60"),
    (
        "huge packet",
        LEAD + B.block(6, struct.pack("<5I", 0, 0, 0, 1 << 20, 1 << 20) + FRAME),
        1,
        "byte 160: a frame of 1048576 bytes, wanted at most 262144",
    ),
    (
        "lying option",
        HEAD + B.interface(struct.pack("<HH", 2, 9) + b"wan\0"),
        0,
        "byte 64: an option of 9 bytes, where the block has 4 more",
    ),
    ("option of a wrong size", HEAD + B.interface(B.option(9, b"12")), 0, "byte 56: an interface's option 9 of 2 bytes, wanted 1"),
    (
        "end of time",
        B.section() + B.interface(B.option(9, b"\0")) + B.packet(FRAME, 1 << 63),
        0,
        "byte 68: a time 9223372036854775808 seconds after 1970, wanted 0 to 9223372036",
    ),
    (
        "before 1970",
        B.section() + B.interface(B.option(14, struct.pack("<q", -5))) + B.packet(FRAME, 0),
        0,
        "byte 72: a time -5 seconds after 1970, wanted 0 to 9223372036",
    ),
    ("too many interfaces", B.section() + B.interface() * 4097, 0, "byte 81956: too many interfaces, wanted at most 4096"),
]


@pytest.mark.parametrize(("data", "before", "words"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_what_is_wrong_is_named_after_what_came_before(tmp_path: Path, data: bytes, before: int, words: str) -> None:
    frames, said = outcome(tmp_path / "in", data)
    assert (len(frames), said) == (before, words)


def test_broken_compression_is_named_after_what_came_before(tmp_path: Path) -> None:
    packed = gzip.compress(pcap_header() + record(FRAME) * 20_000, compresslevel=0)
    for data in (packed[:-9000], packed[:-8] + bytes(8), packed + b"more"):
        frames, said = outcome(tmp_path / "in", data)
        assert frames and set(frames) == {Frame(FRAME, 10**9, 60)} and "can't be read on" in said
    frames, said = outcome(tmp_path / "in", b"\x1f\x8b")
    assert not frames and said.startswith("byte 0: can't be read on: compressed file ended")


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(CaptureError, match="wanted a pcap or pcapng file"), reading(path):
            pass
    with pytest.raises(CaptureError, match="can't be written: no such file or directory"):
        Writer(tmp_path / "no" / "out", [])


def test_a_full_disk_is_named() -> None:
    with pytest.raises(CaptureError, match="can't be written: no space left"), Writer(Path("/dev/full"), ["wan"]) as writer:
        writer.write(0, 0, FRAME)


SOUND = [
    pcap_header() + record(FRAME) * 3,
    pcap_header(">", "ns") + record(FRAME, order=">") * 2,
    LEAD + B.old_packet(FRAME) + B.simple(FRAME, 60) + B.block(5, bytes(8)) + B.packet(FRAME, options=B.option(1, b"x")),
    BIG.section() + BIG.interface(BIG.option(2, b"wan"), BIG.option(9, b"\x09")) + BIG.packet(FRAME) * 2,
    gzip.compress(LEAD),
]


WORDS = [b"\0", b"\xff", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\x0c\0\0\0", b"\0\0\0\x0c"]


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A sound capture with words overwritten, cut or lengthened; or anything."""
    data = bytearray(draw(st.sampled_from(SOUND)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data) - 1))
        word = draw(st.sampled_from(WORDS) | st.binary(min_size=1, max_size=4))
        data[at : at + len(word)] = word
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data) + draw(st.binary(max_size=40))


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=spoilt() | st.binary(max_size=200) | st.builds(lambda b: LEAD + b, st.binary(max_size=200)))
def test_no_file_makes_the_reader_fail_otherwise(tmp_path: Path, data: bytes) -> None:
    frames, _ = outcome(tmp_path / "in", data)
    assert all(len(frame.data) <= frame.length and 0 <= frame.time < 1 << 63 for frame in frames)


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(LEAD + B.block(0x99, bytes(1 << 26)) + B.packet(FRAME)),
        LEAD + B.block(0x99, bytes(1 << 26)) + B.packet(FRAME),
        HEAD + B.interface(*[B.option(2, bytes(60_000))] * 17) * 20 + B.packet(FRAME) * 2,
    ],
    ids=["a block of 64 MiB in 64 KiB", "a block of 64 MiB", "names of 1 MiB"],
)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "in"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with reading(path) as frames:
            assert sum(1 for _ in frames) == 2
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
