"""Packets compressed at one end of a line that loses, doubles and reorders them, and unpacked at the other."""

from __future__ import annotations

import random
from functools import cache

from ebpfnf.lab.frames import tcp_frame, udp_frame
from ebpfnf.lab.pages import page
from ebpfnf.vm.native import Native

ALL = ["0.0.0.0/0", "::/0"]
ENDS = ("192.0.2.9", 4000, "198.51.100.7", 80), ("2001:db8::1", 4000, "2001:db8::2", 80)
MACS = "02:00:00:00:00:01", "02:00:00:00:00:02"


def across(seed: int, count: int) -> int:
    """All that arrived is what was sent, byte for byte, and no packet was larger on the line; how many packets that were."""
    chance = random.Random(seed)
    sent = [some_packet(chance) for _ in range(count)]
    algorithm = chance.choice(["lz4", "deflate"])
    with Native("compress", {"compress": {"algorithm": algorithm, "peers": ALL}}) as packer, Native("decompress") as unpacker:
        packed = packer.frames(sent)
        assert all(p is not None and len(p) <= len(s) for p, s in zip(packed, sent, strict=True))
        assert packer.counters()["compress.compressed"] > count // 4, "most of it is text"
        order = _line(chance, count)
        arrived = unpacker.frames([packed[i] or b"" for i in order])
        assert arrived == [sent[i] for i in order]
    return count


def some_packet(chance: random.Random) -> bytes:
    """A piece of a page by TCP or UDP, IPv4 or IPv6."""
    found = _page(f"/pages/{chance.randrange(20)}.{chance.choice(('html', 'json', 'log', 'txt', 'jpg'))}")
    size = chance.choice((0, 40, 200, 700, 1400, 1400, 1400))
    begin = chance.randrange(len(found) - size)
    make = tcp_frame if chance.random() < 0.5 else udp_frame
    return make(*MACS, *chance.choice(ENDS), payload=found[begin : begin + size]).ljust(60, b"\0")


@cache
def _page(path: str) -> bytes:
    found = page(path)
    assert found
    return found[1]


def _line(chance: random.Random, count: int) -> list[int]:
    """The packets in the order of their arrival: up to a fifth lost, some twice, each up to 30 places from where it was."""
    lost, doubled, spread = chance.random() / 5, chance.random() / 5, chance.randrange(1, 30)
    kept = [i for i in range(count) for _ in range(1 + (chance.random() < doubled)) if chance.random() >= lost]
    return [i for _, i in sorted((place + chance.random() * spread, i) for place, i in enumerate(kept))]
