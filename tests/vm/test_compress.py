"""compress and decompress, run as processes with sanitizers: lossless, never larger, honest about what is inside."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpfnf.errors import SpecError
from ebpfnf.lab.pages import page
from ebpfnf.packets import build
from ebpfnf.vm.native import ROOM, Native

from .frames import frame
from .lossy import across

ALL = ["0.0.0.0/0", "::/0"]
V6 = ("[2001:db8::1]:4000", "[2001:db8::2]:80")
IPCOMP = 108


@pytest.fixture(params=["lz4", "deflate"])
def packer(request: pytest.FixtureRequest) -> Iterator[Native]:
    with Native("compress", {"compress": {"algorithm": request.param, "peers": ALL}}) as native:
        yield native


@pytest.fixture
def unpacker() -> Iterator[Native]:
    with Native("decompress") as native:
        yield native


def log_lines(chance: random.Random) -> bytes:
    lines = [
        f"192.0.2.{chance.randrange(256)} - - [24/Nov/2026:10:{chance.randrange(60):02}:{chance.randrange(60):02} +0000] "
        f'"GET /items/{chance.randrange(10**6)} HTTP/1.1" {chance.choice([200, 304, 404])} {chance.randrange(50000)} "-" "curl/8.5.0"'
        for _ in range(600)
    ]
    return "\n".join(lines).encode()


def json_rows(chance: random.Random) -> bytes:
    rows = [
        f'{{"id": {i}, "name": "item-{chance.randrange(10**5)}", "price": {chance.random():.4f}, "tags": ["a{chance.randrange(9)}", "b"]}}'
        for i in range(900)
    ]
    return ",\n".join(rows).encode()


def html_rows(chance: random.Random) -> bytes:
    words = Path(__file__).parent.joinpath("../../LICENSE").read_text().split()
    cells = [
        f'<tr class="row"><td><a href="/items/{chance.randrange(10**5)}">{" ".join(chance.choices(words, k=3))}</a></td>'
        f'<td align="right">{chance.randrange(1000)}</td></tr>'
        for _ in range(700)
    ]
    return "\n".join(cells).encode()


def prose() -> bytes:
    root = Path(__file__).parent.joinpath("../..")
    return b"".join(root.joinpath(name).read_bytes() for name in ("LICENSE", "docs/reference/semantics.md", "CONTRIBUTING.md"))


@pytest.mark.parametrize(
    ("corpus", "lz4", "deflate"),
    [
        (log_lines(random.Random(1)), 30, 45),
        (json_rows(random.Random(2)), 30, 45),
        (html_rows(random.Random(3)), 30, 45),
        (prose(), 10, 25),
    ],
    ids=["log", "json", "html", "prose"],
)
def test_text_shrinks_by_what_is_promised_and_comes_back(corpus: bytes, lz4: int, deflate: int, unpacker: Native) -> None:
    frames = [frame(corpus[at : at + 1400]) for at in range(0, len(corpus) - 1400, 1400)]
    for algorithm, promised in (("lz4", lz4), ("deflate", deflate)):
        with Native("compress", {"compress": {"algorithm": algorithm, "peers": ALL}}) as packer:
            packed = packer.frames(frames)
        assert unpacker.frames([one for one in packed if one]) == frames
        saved = 100 - 100 * sum(len(one or b"") for one in packed) / sum(map(len, frames))
        assert saved >= promised


def test_any_packet_comes_back_and_none_grows(packer: Native, unpacker: Native) -> None:
    chance = random.Random(4)
    frames = []
    for _ in range(600):
        size = chance.choice([0, 1, 40, 62, 63, 64, 100, 700, 1400, 1440])
        alphabet = chance.choice([b"a", b"ab", bytes(range(256)), b"GET / HTTP/1.1\r\nHost: "])
        ends = chance.choice([("192.0.2.9:4000", "198.51.100.7:80"), V6])
        options = chance.choice(["", "vlan 7", "vlan 7 vlan 8", "dscp 12", "ttl 3"])
        frames.append(frame(bytes(chance.choices(alphabet, k=size)), chance.choice(["tcp", "udp"]), ends, options))
    packed = packer.frames(frames)
    assert all(p is not None and len(p) <= len(f) for p, f in zip(packed, frames, strict=True))
    for before, after in zip(frames, unpacker.frames([p for p in packed if p]), strict=True):
        assert after is not None
        length = len(before) if before[12:14] not in (b"\x08\x00",) else 14 + int.from_bytes(before[16:18], "big")
        assert after[:length] == before[:length]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_packets_are_independent_of_each_other(seed: int) -> None:
    """Loss, reordering and doubling on the way harm nothing but what they touch (docs/long-runs.md has 100,000 packets)."""
    assert across(seed, 500) == 500


@pytest.mark.parametrize("kind", ["jpg", "random"])
def test_what_does_not_shrink_is_left_alone(packer: Native, kind: str) -> None:
    data = page("/pages/1.jpg")[1] if kind == "jpg" else random.Random(7).randbytes(12000)  # type: ignore[index]
    frames = [frame(data[at : at + 1400]) for at in range(0, 7000, 1400)]
    assert packer.frames(frames) == frames


def test_only_peers_see_compressed_packets() -> None:
    text = b"a" * 500
    with Native("compress", {"compress": {"peers": ["198.51.100.0/28", "2001:db8:1::/48"]}}) as native:
        inside = [("192.0.2.1:1", "198.51.100.15:80"), ("[2001:db8::1]:1", "[2001:db8:1::9]:80")]
        outside = [("192.0.2.1:1", "198.51.100.16:80"), ("[2001:db8::1]:1", "[2001:db8:2::9]:80")]
        for ends in inside:
            assert len(native.frame(frame(text, ends=ends)) or b"") < 200
        for ends in outside:
            assert native.frame(frame(text, ends=ends)) == frame(text, ends=ends)
    with Native("compress") as native:
        assert native.frame(frame(text)) == frame(text)  # nobody is known


def test_what_is_no_whole_tcp_or_udp_packet_is_left_alone(packer: Native) -> None:
    text = "a" * 400
    for packet in (
        f"icmp 192.0.2.1 > 198.51.100.7 payload '{text}'",
        f"udp 192.0.2.1 > 198.51.100.7 payload '{text}' frag 0 mf",
        f"udp 192.0.2.1 > 198.51.100.7 payload '{text}' frag 100",
        f"tcp 192.0.2.1 > 198.51.100.7 payload '{text}' csum bad",
        "arp who-has 192.0.2.1",
    ):
        assert packer.frame(build(packet)) == build(packet)


def test_a_broken_packet_is_dropped_by_name(unpacker: Native) -> None:
    with Native("compress", {"compress": {"algorithm": "deflate", "peers": ALL}}) as packer:
        packed = bytearray(packer.frame(frame(b"hello " * 100)) or b"")
    assert packed[23] == IPCOMP
    packed[38] |= 0b110  # a kind of block that deflate does not have
    assert unpacker.frame(bytes(packed)) is None
    assert unpacker.counters()["decompress.corrupt"] == 1


def test_a_bomb_is_bounded(unpacker: Native) -> None:
    stream = zlib.compressobj(9, zlib.DEFLATED, -11)
    bomb = stream.compress(b"\0" * 10**6) + stream.flush()
    assert len(bomb) < 1400
    data = bytearray(frame(b"\6\0\0\2" + bomb, "udp"))
    body = bytes(data[42:])
    head = bytearray(data[:34])
    head[23] = IPCOMP
    head[16:18] = (20 + len(body)).to_bytes(2, "big")
    head[24:26] = b"\0\0"
    total = sum(int.from_bytes(head[i : i + 2], "big") for i in range(14, 34, 2))
    total = (total & 0xFFFF) + (total >> 16)
    head[24:26] = (~total & 0xFFFF).to_bytes(2, "big")
    assert unpacker.frame(bytes(head) + body) is None
    assert unpacker.counters()["decompress.corrupt"] == 1


def test_the_mtu_holds() -> None:
    with Native("compress", {"compress": {"peers": ALL}}) as packer:
        packed = packer.frame(frame(b"a" * 1400))
    assert packed
    with Native("decompress", {"decompress": {"mtu": 1000}}) as native:
        assert native.frame(packed) is None
        assert native.counters()["decompress.too_big"] == 1


def test_another_transform_is_not_ours(unpacker: Native) -> None:
    data = bytearray(frame(b"\6\0\0\3" + b"x" * 100, "udp"))
    data = data[:34] + data[42:]  # LZS right behind the IP header
    data[23] = IPCOMP
    data[16:18] = (len(data) - 14).to_bytes(2, "big")
    assert unpacker.frame(bytes(data)) == bytes(data)
    assert unpacker.counters()["decompress.unknown"] == 1


def test_any_bytes_behind_an_ip_header_are_survived(unpacker: Native) -> None:
    chance = random.Random(6)
    base = frame(b"x" * 600, "udp")
    frames = []
    for _ in range(3000):
        data = bytearray(base[: chance.randrange(14, len(base))])
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(12, len(data))] = chance.randrange(256)
        if len(data) > 40 and chance.random() < 0.7:
            data[23] = IPCOMP
            data[34:38] = bytes([6, 0]) + chance.choice([b"\0\2", b"\xf0\x04"])
        frames.append(bytes(data))
    assert len(unpacker.frames(frames)) == len(frames)
    assert max(map(len, frames)) < ROOM


def test_a_wrong_parameter_is_refused_before_anything_starts() -> None:
    for config, words in (
        ({"compress": {"algorithm": "zip"}}, "wanted one of deflate, lz4"),
        ({"compress": {"peers": ["198.51.100.7/33"]}}, "wanted"),
        ({"compress": {"level": 9}}, "no parameter 'level'"),
        ({"decompress": {}}, "not in the image"),
    ):
        with pytest.raises(SpecError, match=words):
            Native("compress", config)
