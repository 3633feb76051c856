"""Inputs to begin with, made from the cases beside the mNFs and from connections; and the words that these are made of."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ebpfnf.packets import build as packet
from ebpfnf.vm import build, control, manifest
from ebpfnf.vm.control import Operation
from tests.guided.fuzzer import Target
from tests.vm.frames import Connection
from tests.vm.lossy import ALL
from tests.vm.streams import ATTACK, chunked, form, request

FRAME, CLOCK, CONFIG = range(3)
LENGTHS, SUMS, RELATIVE, TIGHT = 1, 2, 4, 8
_ROOMY = LENGTHS | SUMS | RELATIVE
_MENDED = _ROOMY | TIGHT
_LIMITS = (0, 1, 127, 128, 129, 255, 256, 257, 65535, 65536, 2**32 - 1, 2**32)
_RULES = [
    'alert tcp any any -> any any (content:"union"; nocase; content:"select"; distance:1; within:40; sid:1;)',
    'drop ip any 1:65535 -> any :80 (msg:"a;b"; content:!"|0d 0a|x"; content:"GET |2f|"; offset:2; depth:9; fast_pattern; rev:3; sid:77;)',
    'alert udp any any -> any 53: (content:"aa"; content:"ba"; distance:-1; reference:x,y; classtype:z; sid:429496728;)',
]
_LONGEST = f'alert ip any any -> any any (content:"{"ab" * 128}"; sid:9;)'  # of contents
_TEXT = b"again and again and again and again and again and again and again and again and again and again"
_EXTENDED = [  # IPv6: next header, then what stands behind the header of IP
    (0, b"\x3c\0\1\4\0\0\0\0" + b"\x06\1" + bytes(14)),
    (44, b"\x11\0\0\1\0\0\0\7"),
    (43, b"\x2c\2" + bytes(22) + b"\x06\0\0\0\0\0\0\7"),
]


def record(kind: int, flags: int, data: bytes) -> bytes:
    return struct.pack("<BBH", kind, flags, len(data)) + data


def clock(shift: int) -> bytes:
    """A step of 2^shift ns."""
    return record(CLOCK, shift, b"")


def ask(operation: Operation, text: str = "") -> bytes:
    return record(FRAME, LENGTHS, control.request(operation, 1, b"\2\0\0\0\0\1", text=text))


def frames(data: Iterable[bytes], flags: int = _MENDED) -> bytes:
    """Frames, TCP's numbers relative as unikernels/fuzz/mend.c wants them."""
    following: dict[tuple[int, int], int] = {}
    return b"".join(record(FRAME, flags, _relative(bytearray(frame), following) if flags & RELATIVE else frame) for frame in data)


def _relative(frame: bytearray, following: dict[tuple[int, int], int]) -> bytes:
    if len(frame) < 54 or frame[12:14] != b"\x08\0" or frame[23] != 6:
        return bytes(frame)
    sport, dport, seq, ack = struct.unpack_from("!HHII", frame, 34)
    here, there = (sport, dport), (dport, sport)
    end = seq + (frame[47] >> 1 & 1) + max(14 + int.from_bytes(frame[16:18], "big") - 34 - (frame[46] >> 4) * 4, 0)
    struct.pack_into("!II", frame, 38, (seq - following.get(here, seq)) % 2**32, (ack - following.get(there, ack)) % 2**32)
    following[here] = max(following.get(here, end), end)
    return bytes(frame)


def write(target: Target, folder: Path) -> None:
    """The target's seeds, as files."""
    for number, data in enumerate({"pack": _packets, "stream": _connections, "rules": _rules, "ring": _ring}[target.name]()):
        (folder / f"seed-{number:03}").write_bytes(data)


def dictionary(target: Target) -> bytes:
    """The words of the target's inputs, as libFuzzer reads them."""
    words = {name.encode() for mnf in build.mnfs(target.image) for name in (mnf.name, *(f"{mnf.name}.{p.name} " for p in mnf.params))}
    words |= {b"\x08\0\x45\0", b"\x86\xdd\x60\0", b"\x81\0\0\5", b"\x88\xb5\1", b"\xf0\x04", b"lz4", b"deflate", b"drop", b"pass"}
    words |= {str(limit).encode() for limit in _LIMITS}
    for text in (*_RULES, *(r.decode("latin-1") for r in _requests())):
        words |= {word.encode("latin-1") for word in re.findall(r"[\w-]+[:;]?|\r\n|%\w\w|[|!]", text) if len(word) < 60}
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in sorted(words)).encode()


def _settings(image: str, given: Mapping[str, Mapping[str, Any]]) -> bytes:
    return record(CONFIG, 0, manifest.config(build.mnfs(image), given))


def _cases(name: str) -> Iterable[tuple[dict[str, Any], list[bytes]]]:
    """Parameters and frames of the cases beside an mNF."""
    for case in YAML(typ="safe").load(build.SOURCES / name / "cases.yaml"):
        yield {name: case.get("params", {})}, [packet(step["packet"]) for step in case["steps"]]


def _requests() -> list[bytes]:
    return [
        *(ATTACK, request(), request("/a/../%61dmin/./x?y=1#z"), request("http://u@h.example.org.:80/x//%252e", "Host: [::1]:80\r\n")),
        *(form("a=1&b=%27+OR+1%3d1--"), chunked("id=1' UNION SELECT NULL--", [1, 2, 3, 20]), request("/" + "a" * 1100)),
        request("/" + "a" * 1022, "Host: " + "b" * 255 + "\r\n"),  # no longer path and name are read
        *(request(headers="Host: a\r\nUpgrade: h2c\r\n"), request(headers="Content-Length: 5\r\nContent-Encoding: gzip\r\n", body="12345")),
    ]


def _packets() -> Iterable[bytes]:
    for name in ("compress", "decompress"):
        for given, found in _cases(name):
            yield _settings("compress+decompress", given) + frames(found)
    for algorithm in ("lz4", "deflate"):
        settings = _settings("compress+decompress", {"compress": {"algorithm": algorithm, "peers": ALL}})
        for head in ("udp 192.0.2.1:4 > 198.51.100.7:53", "tcp [2001:db8::1]:4 > [2001:db8::2]:80", "udp 1.2.3.4:5 > 6.7.8.9:10 vlan 5"):
            yield settings + frames([packet(f"{head} payload '{_TEXT.decode()}'")], _ROOMY) + ask(Operation.STATS)
    yield settings + frames(packed(), _ROOMY) + frames(packed()) + frames(extended())
    yield settings + b"".join(ask(operation, "compress.algorithm lz4\ndecompress.mtu 100\n") for operation in Operation)
    yield settings + ask(Operation.CONFIG, "compress.algorithm lz4".rjust(control.TEXT_MOST, "\n"))


def packed() -> list[bytes]:
    """Compressed frames, as an IPComp header in the place of TCP's or UDP's begins."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -11)
    deflated = squeeze.compress(_TEXT) + squeeze.flush()
    packed = b"\x11\0\0\2" + deflated, b"\x06\0\xf0\x04" + b"\x6faaaaaa\1\0" + b"\x50" + b"aaaaa"
    frame = packet(f"udp 192.0.2.1:4000 > 198.51.100.7:53 payload '{_TEXT.decode()}'")
    return [frame[:23] + b"\x6c" + frame[24:34] + inner for inner in packed]


def extended() -> list[bytes]:
    frame = packet("tcp [2001:db8::1]:4000 > [2001:db8::2]:80 payload 'abc'")
    return [frame[:20] + bytes([first]) + frame[21:54] + headers + frame[54:] for first, headers in _EXTENDED]


def _connections() -> Iterable[bytes]:
    for _, found in _cases("tcp_reasm"):
        yield frames(found)
    for number, sent in enumerate(_requests()):
        client = Connection(1000, f"192.0.2.9:{4000 + number}")
        opened = [client.syn(), client.answer(number)]
        for size in (1400, 60, 7):
            yield frames([*opened, *client.cut(sent[:1400], size), client.ack(min(len(sent), 1400), b"HTTP/1.1 101 x\r\n")])
        halves = client.data(len(sent) // 2, sent[len(sent) // 2 :][:1400]), client.data(0, sent[:1400])
        yield frames([*opened, *halves, client.ack(4), *halves, client.data(2, b"contradicts"), client.data(0, b"", "FA")]) + clock(36)
    yield frames([client.data(0, sent[:1400]), client.data(1400, b"x")]) + clock(37) + frames([client.data(9, b"GET / HTTP/1.1\r\n")])
    client = Connection(5)
    cut_off = bytearray(client.answer()[:54] + b"\1\1\3\3")  # an option that ends behind the frame
    cut_off[46] = 24 << 2
    yield frames([client.syn(), bytes(cut_off), client.data(0, request())])
    yield frames([client.syn(), client.answer(), *client.cut(form("a" * 20000), 1400), client.ack(15000), *client.cut(request(), 9)])
    full = [Connection(5, f"192.0.2.9:{port}") for port in range(5000, 5006)]
    yield frames([frame for client in full for frame in (client.syn(), client.data(0, request()))]) + clock(37) + frames([full[5].syn()])
    for frame in extended():
        yield frames([frame])
        yield frames([frame[:-23]])  # nothing behind the header but IP's
    yield frames(extended()) + b"".join(ask(operation, "tcp_reasm.idle 5\ntcp_reasm.when_full pass\n") for operation in Operation)
    yield ask(Operation.CONFIG, "tcp_reasm.not_http pass\nsqli_stream.on_unsure drop\n") + frames(client.cut(b"SSH-2.0-x\r\n" + ATTACK, 20))


def _rules() -> Iterable[bytes]:
    for given, found in _cases("ids_match"):
        yield _settings("ids_match", given) + frames(found)
    texts = "union all select", "aGET /bab", "GET /aaaaabaaba", "UNION  selec"
    found = [packet(f"{proto} 192.0.2.1:4000 > 198.51.100.7:53 payload '{text}'") for text in texts for proto in ("udp", "tcp")]
    for count in range(1, len(_RULES) + 1):
        yield _settings("ids_match", {"ids_match": {"rules": _RULES[:count]}}) + frames(found) + ask(Operation.STATS) + frames(found, TIGHT)
    for rule in (*_RULES, _LONGEST):
        yield record(CONFIG, 0, f"ids_match.rules {rule}".encode()) + frames(extended()) + ask(Operation.STATS, "3")


def _ring() -> Iterable[bytes]:
    whole = frames(packed(), _ROOMY) + frames(extended()) + ask(Operation.STATS)
    yield whole + clock(0) + whole + ask(Operation.DRAIN)
    for what, number, length in ((0, 3, 100), (1, 255, 0), (2, 1, 0), (3, 7, 0), (4, 0, 2048), (12, 0, 1), (0, 256, 60), (5, 0, 0)):
        yield whole + record(CONFIG, 0, struct.pack("!BHH", what, number, length)) + whole
