"""Protects: every frame of every sound capture is read as it was captured, and what is written is read by others too."""

from __future__ import annotations

import gzip
import itertools
import struct
from pathlib import Path

import pytest

from ebpfnf.analyse.capture import Frame, Writer, reading
from tests.analyse.capture_files import Blocks, pcap_header, record

FRAME = bytes(range(61))
SECOND = 10**9


def read(tmp_path: Path, data: bytes) -> list[Frame]:
    path = tmp_path / "in"
    path.write_bytes(data)
    with reading(path) as frames:
        return list(frames)


@pytest.mark.parametrize(("order", "unit"), list(itertools.product("<>", ("us", "ns"))))
def test_pcap_in_both_byte_orders_and_both_units(tmp_path: Path, order: str, unit: str) -> None:
    data = pcap_header(order, unit) + record(FRAME, 5, 7, order=order) + record(b"", 6, 0, order=order)
    data += record(FRAME[:20], 0, 1, order=order, length=61)
    scale = 1000 if unit == "us" else 1
    assert read(tmp_path, data) == [Frame(FRAME, 5 * SECOND + 7 * scale, 61), Frame(b"", 6 * SECOND, 0), Frame(FRAME[:20], scale, 61)]
    assert [frame.cut for frame in read(tmp_path, data)] == [False, False, True]


@pytest.mark.parametrize("snaplen", [0, 96, 524288, 0xFFFFFFFF])
def test_the_snapshot_length_of_pcap_is_not_believed(tmp_path: Path, snaplen: int) -> None:
    assert len(read(tmp_path, pcap_header(snaplen=snaplen) + record(FRAME))) == 1


def test_a_frame_of_256_kib_is_read(tmp_path: Path) -> None:
    assert len(read(tmp_path, pcap_header() + record(bytes(1 << 18)))[0].data) == 1 << 18
    assert len(read(tmp_path, Blocks().section() + Blocks().interface() + Blocks().packet(bytes(1 << 18)))[0].data) == 1 << 18


@pytest.mark.parametrize("order", "<>")
def test_pcapng_blocks_of_every_kind(tmp_path: Path, order: str) -> None:
    b = Blocks(order)
    data = b.section(options=b.option(4, b"capturer")) + b.block(4, b"names") + b.interface(b.option(2, b"wan"))
    data += b.block(0xBAD, b"private") + b.packet(FRAME, 9, options=b.option(1, b"comment") + b.option(0, b""))
    data += b.old_packet(FRAME, 1 << 33) + b.simple(FRAME, 61) + b.block(5, bytes(8))
    wanted = [(FRAME, 9000), (FRAME, (1 << 33) * 1000), (FRAME, (1 << 33) * 1000)]
    assert read(tmp_path, data) == [Frame(frame, time, 61, "wan") for frame, time in wanted]


@pytest.mark.parametrize(
    ("resolution", "ticks", "time"),
    [
        (9, 123, 123), (6, 123, 123_000), (3, 5, 5_000_000), (0, 5, 5 * SECOND), (12, 1999, 1), (127, 1, 0),
        (0x80 | 10, 1024, SECOND), (0x80 | 30, 3, 2), (0x80, 2, 2 * SECOND), (0xFF, 1, 0),
    ],
)  # fmt: skip
def test_a_tick_is_what_the_interface_says(tmp_path: Path, resolution: int, ticks: int, time: int) -> None:
    b = Blocks()
    assert read(tmp_path, b.section() + b.interface(b.option(9, bytes([resolution]))) + b.packet(FRAME, ticks))[0].time == time


@pytest.mark.parametrize("order", "<>")
def test_an_interface_may_count_from_another_second(tmp_path: Path, order: str) -> None:
    b = Blocks(order)
    interface = b.interface(b.option(14, struct.pack(order + "q", -3)), b.option(9, b"\x09"))
    assert read(tmp_path, b.section() + interface + b.packet(FRAME, 5 * SECOND + 1))[0].time == 2 * SECOND + 1


def test_sections_have_interfaces_and_byte_orders_of_their_own(tmp_path: Path) -> None:
    a, b = Blocks("<"), Blocks(">")
    data = a.section() + a.interface(a.option(2, b"one")) + a.interface(a.option(2, b"two"), a.option(9, b"\x09"))
    data += a.packet(FRAME, 1, interface=1)
    data += b.section((1, 2)) + b.interface() + b.packet(FRAME[:30], 1)
    assert read(tmp_path, data) == [Frame(FRAME, 1, 61, "two"), Frame(FRAME[:30], 1000, 30, "")]


def test_a_simple_packet_is_cut_at_the_snapshot_length(tmp_path: Path) -> None:
    b = Blocks()
    (frame,) = read(tmp_path, b.section() + b.interface(snaplen=20) + b.simple(FRAME[:20], 61))
    assert frame.data == FRAME[:20] and frame.cut


def test_an_interface_of_another_link_type_is_no_matter_while_it_has_no_packets(tmp_path: Path) -> None:
    b = Blocks()
    assert len(read(tmp_path, b.section() + b.interface(link=113) + b.interface() + b.packet(FRAME, interface=1))) == 1


def test_compressed_captures_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, gzip.compress(pcap_header() + record(FRAME))) == read(tmp_path, pcap_header() + record(FRAME))


def test_captures_without_frames(tmp_path: Path) -> None:
    assert read(tmp_path, pcap_header()) == read(tmp_path, Blocks().section()) == []


def test_what_is_written_is_read_back_here_and_by_scapy(tmp_path: Path) -> None:
    from scapy.utils import RawPcapNgReader

    path = tmp_path / "out.pcapng"
    frames = [(k % 2, 1_700_000_000_123_456_789 + k, FRAME[: 14 + k % 40]) for k in range(50)]
    with Writer(path, ["wan", "lan"]) as writer:
        for interface, time, data in frames:
            writer.write(interface, time, data)
    with reading(path) as found:
        assert list(found) == [Frame(data, time, len(data), ("wan", "lan")[interface]) for interface, time, data in frames]
    with RawPcapNgReader(str(path)) as reader:
        seen = [(data, (meta.tshigh << 32) | meta.tslow, meta.tsresol, meta.ifname) for data, meta in reader]
    assert seen == [(data, time, 10**9, (b"wan", b"lan")[interface]) for interface, time, data in frames]


@pytest.mark.parametrize("name", ["by.pcap", "by.ns.pcap", "by.pcap.gz", "by.pcapng"])
def test_what_scapy_writes_is_read(tmp_path: Path, name: str) -> None:
    from scapy.layers.l2 import Ether
    from scapy.utils import wrpcap, wrpcapng

    path, packets = tmp_path / name, [Ether(FRAME), Ether(FRAME[:40])]
    for k, packet in enumerate(packets):
        packet.time = 1_700_000_000 + k
    if name.endswith("pcapng"):
        wrpcapng(str(path), packets)
    else:
        wrpcap(str(path), packets, nano="ns" in name, gz=name.endswith("gz"))
    with reading(path) as frames:
        assert [(f.data, f.time // SECOND) for f in frames] == [(FRAME, 1_700_000_000), (FRAME[:40], 1_700_000_001)]
