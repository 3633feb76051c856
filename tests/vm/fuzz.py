"""Frames that mean harm, for images run as processes with sanitizers: pieces of what is right, cut, crossed, mended and out of order."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping
from typing import Any

from ebpfnf.vm import control
from ebpfnf.vm.control import Operation
from ebpfnf.vm.native import ROOM, Native
from tests.vm.frames import Connection, mended
from tests.vm.lossy import ALL, some_packet

_RULE = 'alert tcp any any -> any any (content:"union"; nocase; content:"select"; distance:1; within:40; sid:1;)'
IMAGES: tuple[tuple[str, Mapping[str, Mapping[str, Any]]], ...] = (
    ("compress", {"compress": {"algorithm": "lz4", "peers": ALL}}),
    ("compress", {"compress": {"algorithm": "deflate", "peers": ALL}}),
    ("decompress", {}),
    ("tcp_reasm", {"tcp_reasm": {"connections": 4, "when_full": "pass", "not_http": "pass"}}),
    ("sqli_stream+url_filter", {"url_filter": {"deny": ["/admin*", "*.example.org/private/*"]}}),
    ("ids_match", {"ids_match": {"rules": [_RULE]}}),
)
_CONTROL = struct.pack("!H", control.TYPE)
_WORDS = [
    *(b"GET / HTTP/1.1\r\n", b"POST /item?id=1 HTTP/1.1\r\n", b"HTTP/1.1\r\n", b"Host: a.example.org\r\n", b"\r\n", b"\r\n\r\n", b"\n"),
    *(b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Content-Type: application/x-www-form-urlencoded\r\n", b"Upgrade: h2c\r\n"),
    *(b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"18446744073709551616\r\n", b"-1\r\n", b"7\r\n", b"%27", b"%2527", b"%", b"%0", b"+"),
    *(b"' OR 1=1--", b" UNION SELECT ", b"/admin/../", b"//", b"/./", b"\0", b"\xff\xfe", b"union", b"select"),
]


def survived(seed: int, count: int) -> int:
    """As many frames went through the image that the seed chooses: it stands, its books balance, cookies are kept, no frame is too long."""
    chance = random.Random(seed)
    name, config = IMAGES[seed % len(IMAGES)]
    with Native(name, config) as image, Native("compress", IMAGES[chance.randrange(2)][1]) as packer:
        clients = [Connection(chance.choice((0, 1000, 2**32 - 500)), f"192.0.2.{n}:{4000 + n}") for n in range(1, 9)]
        now, done = 0, 0
        while done < count:
            part = [_frame(chance, clients, packer) for _ in range(16)]
            part = [frame for frame in part if not _asks_to_quit(frame)]
            now += chance.choice((0, 10**3, 10**6, 10**9, 10**11))
            tight = all(frame[12:14] != _CONTROL for frame in part)  # an answer takes room, which a guest's frames always have
            for sent, got in zip(part, image.frames(part, now, tight=tight), strict=True):
                assert got is None or len(got) <= ROOM
                assert got is None or got[12:14] == _CONTROL or got[:12] == sent[:12]
            done += len(part)
        counts = image.counters()
        assert counts["vm.received"] == counts["vm.sent"] + counts["vm.dropped"]
        assert counts["vm.received"] + counts["vm.control"] + counts["vm.runts"] >= done
    return done


def _asks_to_quit(frame: bytes) -> bool:
    return len(frame) > 15 and frame[12:14] == _CONTROL and frame[15] == Operation.QUIT


def _frame(chance: random.Random, clients: list[Connection], packer: Native) -> bytes:
    kind = chance.random()
    if kind < 0.05:
        return _harmed(chance, _question(chance))
    if kind < 0.35:
        whole = some_packet(chance)
        frame = packer.frame(whole) or whole if chance.random() < 0.7 else whole
    else:
        frame = _segment(chance, chance.choice(clients))
    return frame if chance.random() < 0.4 else _harmed(chance, frame)


def _question(chance: random.Random) -> bytes:
    text = chance.choice(("", "0", "99999999", "compress.smallest 90\n", "tcp_reasm.idle 5\nx", "a.b c", "\n\n", "9" * 1400))
    return control.request(chance.choice(list(Operation)), chance.randrange(2**16), b"\2\0\0\0\0\1", text=text)


def _segment(chance: random.Random, client: Connection) -> bytes:
    kind = chance.random()
    if kind < 0.08:
        return client.syn()
    if kind < 0.16:
        return client.answer(chance.randrange(16), chance.choice((0, 1, 65535)))
    at = int(chance.paretovariate(0.5)) % 20000
    if kind < 0.24:
        return client.ack(at)
    payload = b"".join(chance.choice(_WORDS) for _ in range(chance.randrange(12)))
    return client.data(at, payload[: chance.choice((1, 2, 7, 1400))], chance.choice(("PA", "PA", "PA", "A", "FA", "R", "S")))


def _harmed(chance: random.Random, frame: bytes) -> bytes:
    """Some bytes otherwise, cut off or longer; mostly with the checksums that it then needs."""
    data = bytearray(frame)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(data)) if chance.random() < 0.3 else min(len(data) - 1, chance.randrange(12, 80))
        data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, data[at] ^ 1 << chance.randrange(8), chance.randrange(256)))
    if chance.random() < 0.2:
        del data[chance.randrange(1, len(data)) :]
    if chance.random() < 0.1:
        data += chance.randbytes(chance.randrange(ROOM + 1 - len(data)))
    return mended(bytes(data)) if chance.random() < 0.8 else bytes(data)
