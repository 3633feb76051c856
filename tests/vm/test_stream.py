"""tcp_reasm with sqli_stream and url_filter, run as processes with sanitizers: nothing passes by being cut, doubled, moved or disguised."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from urllib.parse import quote

import pytest

from ebpfnf.vm import build
from ebpfnf.vm.native import Native
from tests.models import sqli_check

from .frames import Connection
from .streams import ATTACK, chunked, form, passes, ports, request

DATA = Path(__file__).parent.parent / "data"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 1000])
def test_an_attack_is_found_wherever_it_is_cut(wall: Native, size: int) -> None:
    client = Connection()
    out = wall.frames([client.syn(), *client.cut(ATTACK, size)])
    assert out[0] is not None and out[-1] is None
    assert wall.counters()["sqli_stream.sql_injection"] == 1


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_ordinary_requests_pass_unchanged(wall: Native, size: int) -> None:
    client = Connection()
    stream = request("/a?q=O'Reilly") + form("name=Sinead+O'Connor&text=please+select+one+from+the+list") + request("/b")
    frames = client.cut(stream, size)
    assert wall.frames([client.syn(), *frames])[1:] == frames
    assert wall.counters()["tcp_reasm.requests"] == 3


def test_every_order_of_segments_is_read_alike(wall: Native) -> None:
    chance = random.Random(1)
    for client in [Connection(chance.randrange(2**32), name) for name, _ in zip(ports(), range(60), strict=False)]:
        segments = client.cut(ATTACK, chance.randrange(3, 30))
        segments += chance.choices(segments, k=3)
        chance.shuffle(segments)
        out = wall.frames([client.syn(), *segments])
        refused = [i for i, one in enumerate(out) if one is None]
        assert refused
        good = Connection(chance.randrange(2**32), client.client.replace("192.0.2.9", "192.0.2.10"))
        segments = good.cut(request("/good") * 3, chance.randrange(3, 30))
        chance.shuffle(segments)
        assert passes(wall, [good.syn(), *segments])


def test_what_passed_of_an_attack_never_completes_it(wall: Native) -> None:
    """A server is played: of the bytes that it could use, no prefix holds the attack."""
    chance = random.Random(2)
    for name, _ in zip(ports(), range(60), strict=False):
        client = Connection(7, name)
        cuts = sorted(chance.sample(range(1, len(ATTACK)), 6))
        pieces = [(a, ATTACK[a:b]) for a, b in zip([0, *cuts], [*cuts, len(ATTACK)], strict=True)]
        pieces += [(at, ATTACK[at : at + 20]) for at in chance.choices(range(len(ATTACK)), k=6)]  # overlaps
        chance.shuffle(pieces)
        out = wall.frames([client.syn(), *[client.data(at, piece) for at, piece in pieces]])
        had: dict[int, int] = {}
        for (at, piece), one in zip(pieces, out[1:], strict=True):
            if one is not None:
                had |= {at + i: byte for i, byte in enumerate(piece)}
        usable = bytes(had[i] for i in range(next(i for i in range(len(ATTACK) + 1) if i not in had)))
        assert not usable.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("encode", [0, 1, 2, 3])
def test_escapes_hide_nothing(wall: Native, encode: int) -> None:
    text = "1' or '1'='1"
    for _ in range(encode):
        text = quote(text, safe="")
    client = Connection()
    stream = request(f"/a?id={text}".replace(" ", "+") if not encode else f"/a?id={text}")
    assert not passes(wall, [client.syn(), *client.cut(stream, 9)])


@pytest.mark.parametrize(
    "stream",
    [
        request("/good") + ATTACK,
        request("/good") * 5 + request("/x?id=1+or+1=1--"),
        form("id=5&name=1'+or+'1'='1"),
        chunked("id=5&name=1'+or+'1'='1", [3, 7, 1, 1]),
        form("a=b") + form("id=1%27%20or%20%271%27%3d%271"),
        b"\r\n\r\n" + ATTACK,
        request("/", "Host: a\r\nCookie: id=1' or '1'='1\r\n"),
        form("id=1'+or+'1'='1").replace(b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"),
        request("/up", "Host: a\r\nUpgrade: websocket\r\n") + ATTACK,
    ],
    ids=["pipelined", "kept alive", "form", "chunked form", "second form", "empty lines", "cookie", "multipart", "false upgrade"],
)
def test_the_attack_is_found_where_it_stands(wall: Native, stream: bytes) -> None:
    for size, name in zip((1, 4, 900), ports(), strict=False):
        client = Connection(99, name)
        assert wall.frames([client.syn(), *client.cut(stream, size)])[-1] is None
    assert wall.counters()["sqli_stream.sql_injection"] == 3


def test_long_requests_are_read_whole(wall: Native) -> None:
    """The body that runs in XDP looks at 1024 bytes and 256 words; here it goes on."""
    filler = "&".join(f"field{i}=value{i}" for i in range(2000))
    client = Connection()
    segments = client.cut(form(f"{filler}&id=1'+or+'1'='1"), 1400)
    frames = [client.syn(), client.answer()]
    for i, segment in enumerate(segments):
        frames += [segment, client.ack((i + 1) * 1400)] if i + 1 < len(segments) else [segment]
    out = wall.frames(frames)
    assert out[-1] is None and all(one is not None for one in out[:-1])


@cache
def grammar() -> sqli_check.Grammar:
    lines = next(param.default for param in build.mnfs("sqli_stream")[-1].params if param.name == "grammar")
    return sqli_check.Grammar(tuple(lines))


def judged(stream: bytes) -> str:
    """attack, doubt or nothing, as the model of sqli_check says."""
    return str(grammar().judge(stream))


def test_the_verdict_is_that_of_the_model_of_sqli_check() -> None:
    lines = [line for name in ("sqli_attacks.txt", "sqli_benign.txt") for line in DATA.joinpath(name).read_text().splitlines() if line]
    lines = [quote(line, safe="'()=,;*/ ").replace(" ", "+") for line in lines]
    streams = [form(f"q={text}", "Connection: close\r\n") for text in lines]
    clients = [Connection(1, name) for name, _ in zip(ports(), streams, strict=False)]
    frames = [[client.syn(), *client.cut(stream, 13)] for client, stream in zip(clients, streams, strict=True)]
    dropped = {}
    for on_unsure in ("next", "drop"):
        with Native("sqli_stream", {"sqli_stream": {"on_unsure": on_unsure}, "tcp_reasm": {"idle": "0s"}}) as native:
            dropped[on_unsure] = [not passes(native, one, at) for at, one in enumerate(frames, 1)]
    found = ["attack" if bad else "doubt" if odd else "" for bad, odd in zip(dropped["next"], dropped["drop"], strict=True)]
    wanted = [judged(stream) for stream in streams]
    assert [one for one in zip(lines, found, wanted, strict=True) if one[1] != one[2]] == []
    assert {"attack", ""} <= set(wanted)


def test_doubt_is_dropped_where_that_is_wanted() -> None:
    doubtful = form("q=x'+and+a=b")
    assert judged(doubtful) == "doubt"
    for on_unsure, dropped in (("next", False), ("drop", True)):
        with Native("sqli_stream", {"sqli_stream": {"on_unsure": on_unsure}}) as native:
            client = Connection()
            assert passes(native, [client.syn(), *client.cut(doubtful, 11)]) is not dropped
            assert native.counters()["sqli_stream.suspicious" if dropped else "sqli_stream.unsure"] == 1


# ---------------------------------------------------------------- evasion


def test_bytes_can_not_be_replaced(wall: Native) -> None:
    """What was read is what the server gets: a second version of a place is refused, read or not yet read."""
    client = Connection()
    assert passes(wall, [client.syn(), client.data(0, b"GET /good")])
    assert wall.frame(client.data(4, b"/evil")) is None
    assert passes(wall, [client.data(20, b"later")])
    assert wall.frame(client.data(19, b"xLATER")) is None
    assert wall.counters()["tcp_reasm.contradiction"] == 2


def test_what_the_server_has_may_be_sent_again_in_any_form(wall: Native) -> None:
    client = Connection()
    assert passes(wall, [client.syn(), client.answer(), client.data(0, b"GET /good"), client.ack(9)])
    assert wall.frame(client.data(4, b"/evil HTTP/1.1")) is not None  # the first five bytes are the server's already
    assert wall.frame(client.data(8, b"\0")) is not None  # a keep-alive probe


def test_segments_that_a_server_ignores_are_ignored_here(wall: Native) -> None:
    client = Connection()
    spoilt = bytearray(client.data(0, b"XXXX"))
    spoilt[50] ^= 1
    urgent = client.data(0, b"GET ", "PAU")
    assert passes(wall, [client.syn()])
    assert wall.frames([bytes(spoilt), urgent]) == [None, None]
    counters = wall.counters()
    assert counters["tcp_reasm.bad_checksum"] == 1 and counters["tcp_reasm.urgent"] == 1


def test_a_false_end_and_beginning_forget_nothing(wall: Native) -> None:
    client = Connection()
    half = len(ATTACK) // 2
    assert passes(wall, [client.syn(), client.answer(), client.data(0, ATTACK[:half]), client.ack(half)])
    wall.frames([client.data(half + 5, b"", "R"), Connection(client.start + half).syn()])
    assert wall.frame(client.data(half, ATTACK[half:])) is None


def test_the_server_alone_begins_a_connection_anew(wall: Native) -> None:
    first, second = Connection(1000), Connection(900000)
    assert passes(wall, [first.syn(), first.answer(), first.data(0, request("/a")), first.ack(30)])
    assert passes(wall, [second.syn(), second.answer(), *second.cut(request("/b"), 4)])


@pytest.mark.parametrize(
    "stream",
    [
        request("/", "Host: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
        request("/", "Host: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n"),
        request("/", "Host: a\r\nContent-Length: +4\r\n"),
        request("/", "Host: a\r\nContent-Length: 99999999999999999999\r\n"),
        request("/", "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n"),
        request("/", "Host: a\r\nTransfer-Encoding : chunked\r\n"),
        request("/", "Host: a\r\n folded\r\n"),
        request("/", "Host: a\r\nX: a\rb\r\n"),
        request("/", "Host: a\r\nX: a\0b\r\n"),
        b"GET /\r\n",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        request("/", "Host: a\r\nTransfer-Encoding: chunked\r\n", "zz\r\n"),
        request("/", "Host: a\r\nTransfer-Encoding: chunked\r\n", "2\r\nabc\r\n"),
    ],
)
def test_what_readers_disagree_upon_is_refused(wall: Native, stream: bytes) -> None:
    client = Connection()
    assert wall.frames([client.syn(), *client.cut(stream, 1)])[-1] is None or not passes(wall, [client.data(len(stream), b"G")])
    assert wall.counters()["tcp_reasm.ambiguous"] == 1


# ---------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    ("target", "host", "denied"),
    [
        ("/admin", "a", True),
        ("/admin/users?x=1", "a", True),
        ("/administrator", "a", True),
        ("/Admin", "a", True),
        ("/%61dmin", "a", True),
        ("/%2561dmin", "a", True),
        ("/%252561dmin", "a", True),
        ("//admin", "a", True),
        ("/./admin", "a", True),
        ("/x/../admin", "a", True),
        ("/x/%2e%2e/admin", "a", True),
        ("/x/..%2fadmin", "a", True),
        ("\\admin", "a", True),
        ("http://any.host/admin", "a", True),
        ("/x/../../../admin", "a", True),
        ("/ad", "a", False),
        ("/x/admin", "a", False),
        ("/x?path=/admin", "a", False),
        ("/admi%6", "a", False),
        ("/private/x", "www.example.org", True),
        ("/private/x", "WWW.Example.ORG:8080", True),
        ("/private/x", "www.example.org.", True),
        ("http://www.example.org/private/x", "other", True),
        ("/private/x", "www.example.com", False),
        ("/public/x", "www.example.org", False),
    ],
)
def test_urls_are_compared_as_a_server_would_read_them(wall: Native, target: str, host: str, denied: bool) -> None:
    for size, name in zip((1, 3, 700), ports(), strict=False):
        client = Connection(5, name)
        out = wall.frames([client.syn(), *client.cut(request(target, f"Host: {host}\r\n"), size)])
        assert (out[-1] is None) is denied
    assert wall.counters()["url_filter.url_denied"] == 3 * denied


def test_long_and_deeply_encoded_paths_are_refused(wall: Native) -> None:
    long = Connection(5, "192.0.2.9:2001")
    assert wall.frames([long.syn(), *long.cut(request("/" + "a" * 1100), 500)])[-1] is None
    deep = Connection(5, "192.0.2.9:2002")
    path = "/%61"
    for _ in range(7):
        path = "".join(f"%{ord(c):02x}" for c in path)[:900]
    assert wall.frames([deep.syn(), *deep.cut(request("/" + path), 500)])[-1] is None
    counters = wall.counters()
    assert counters["url_filter.url_too_long"] == 1
    assert counters["url_filter.url_disguised"] + counters["url_filter.url_too_long"] >= 1
