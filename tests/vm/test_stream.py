"""tcp_reasm with sqli_stream and url_filter, run as processes with sanitizers: nothing passes by being cut, doubled, moved or disguised."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import quote

import pytest

from ebpfnf.vm import build, control
from ebpfnf.vm.native import Native
from tests.models import sqli_check

from .frames import Connection, frame, tcp_checksum_right

IMAGE = "sqli_stream+url_filter"
DATA = Path(__file__).parent.parent / "data"
DENY = {"url_filter": {"deny": ["/admin*", "*.example.org/private/*"]}}
ATTACK = b"GET /item?id=1%27%20UNION%20SELECT%20NULL,NULL-- HTTP/1.1\r\nHost: a\r\n\r\n"
SECOND = 10**9


@pytest.fixture
def wall() -> Iterator[Native]:
    with Native(IMAGE, DENY) as native:
        yield native


def passes(wall: Native, frames: list[bytes], at: int = 0) -> bool:
    return all(out is not None for out in wall.frames(frames, at))


def request(target: str = "/", headers: str = "Host: a\r\n", body: str = "", method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\n{headers}\r\n{body}".encode()


def form(body: str, headers: str = "") -> bytes:
    kind = "Content-Type: application/x-www-form-urlencoded\r\n"
    return request("/form", f"Host: a\r\n{kind}Content-Length: {len(body)}\r\n{headers}", body, "POST")


def chunked(body: str, sizes: list[int]) -> bytes:
    parts, at = [], 0
    for size in [*sizes, len(body)]:
        part = body[at : at + size]
        at += size
        if part:
            parts.append(f"{len(part):x}\r\n{part}\r\n")
    kind = "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n"
    return request("/form", f"Host: a\r\n{kind}", "".join(parts) + "0\r\n\r\n", "POST")


def ports() -> Iterator[str]:
    for port in range(2000, 60000):
        yield f"192.0.2.9:{port}"


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


# ---------------------------------------------------------------- bounds


def test_what_is_refused_stays_refused(wall: Native) -> None:
    client = Connection()
    end = len(ATTACK)
    out = wall.frames([client.syn(), client.data(0, ATTACK), client.data(0, ATTACK), client.data(end, b"GET"), client.data(end, b"", "FA")])
    assert [one is None for one in out] == [False, True, True, True, False]
    assert wall.counters()["tcp_reasm.blocked"] == 2


def test_when_all_places_are_taken() -> None:
    names = list(zip(ports(), range(5), strict=False))
    for policy in ("drop", "pass"):
        with Native("sqli_stream", {"tcp_reasm": {"connections": 4, "when_full": policy, "idle": "10s"}}) as native:
            clients = [Connection(1, name) for name, _ in names]
            for client in clients[:4]:
                assert native.frames([client.syn(), client.data(0, request())]) == [client.syn(), client.data(0, request())]
            out = native.frames([clients[4].syn(), clients[4].data(0, ATTACK)], at=SECOND)
            assert (out[0] is None) is (policy == "drop")
            counters = native.counters()
            assert counters["tcp_reasm.table_full"] + counters["tcp_reasm.unread"] == 2
            assert native.frames([clients[4].syn(), clients[4].data(0, ATTACK)], at=11 * SECOND)[1] is None  # one was idle
            assert native.counters()["sqli_stream.sql_injection"] == 1


def test_handshakes_alone_take_nobodys_place() -> None:
    with Native("sqli_stream", {"tcp_reasm": {"connections": 4}}) as native:
        client = Connection(1, "192.0.2.9:999")
        assert native.frames([client.syn(), client.data(0, ATTACK[:20])])[1] is not None
        native.frames([Connection(1, name).syn() for name, _ in zip(ports(), range(500), strict=False)])
        assert native.frame(client.data(20, ATTACK[20:])) is None


def test_connections_of_a_predecessor_are_taken_over_for_a_while() -> None:
    with Native("sqli_stream", {"tcp_reasm": {"adopt": "30s"}}) as native:
        early, late = Connection(1, "192.0.2.9:2001"), Connection(1, "192.0.2.9:2002")
        assert native.frame(early.data(500, b"of a body"), at=SECOND) is not None
        assert native.frame(early.data(509, ATTACK), at=SECOND) is None
        assert native.frame(late.data(500, b"of a body"), at=31 * SECOND) is None
        assert native.counters()["tcp_reasm.unknown_connection"] == 1


def test_a_window_is_never_wider_than_what_is_kept(wall: Native) -> None:
    client = Connection()
    out = wall.frames([client.syn(), client.answer(scale=7), client.ack(0)])
    assert out[1] and out[2]
    assert struct.unpack_from("!H", out[1], 48)[0] == 16384
    assert struct.unpack_from("!H", out[2], 48)[0] << 7 <= 16384
    assert tcp_checksum_right(out[1]) and tcp_checksum_right(out[2])
    assert wall.frame(client.data(16385, b"x")) is None
    assert wall.counters()["tcp_reasm.outside"] == 1


def test_what_is_no_http_goes_where_the_policy_says() -> None:
    for policy, dropped in (("drop", True), ("pass", False)):
        with Native("sqli_stream", {"tcp_reasm": {"not_http": policy}}) as native:
            client = Connection()
            assert (native.frames([client.syn(), client.data(0, b"SSH-2.0-x\r\n")])[1] is None) is dropped


def test_a_switched_protocol_is_passed_once_the_server_agreed(wall: Native) -> None:
    client = Connection()
    ask = request("/chat", "Host: a\r\nUpgrade: websocket\r\n")
    agreed = client.ack(len(ask), b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    assert passes(wall, [client.syn(), client.answer(), client.data(0, ask), agreed, client.data(len(ask), b"\x81\x05 UNION SELECT")])


def test_other_traffic_is_not_touched(wall: Native) -> None:
    for packet in (frame(ATTACK, "udp"), frame(ATTACK, ends=("192.0.2.1:1", "192.0.2.2:81"))):
        assert wall.frame(packet) == packet


def test_any_segments_are_survived() -> None:
    """Random bytes, cuts, orders, ends, flags; the sanitizers watch."""
    chance = random.Random(3)
    pieces = [b"GET ", b"/admin", b" HTTP/1.1\r\n", b"Host: x\r\n", b"\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]
    pieces += [b"5\r\nhello\r\n", b"0\r\n\r\n", b"' or 1=1--", b"%2527", b"/*", b"\0", b"\xff" * 50, b"POST", b":", b"a" * 300]
    with Native(IMAGE, {**DENY, "tcp_reasm": {"connections": 8, "not_http": "pass"}}) as native:
        for _ in range(250):
            client = Connection(chance.randrange(2**32), f"192.0.2.{chance.randrange(12)}:4000")
            stream = b"".join(chance.choices(pieces, k=chance.randrange(1, 40)))
            segments = client.cut(stream, chance.randrange(1, 200))
            if chance.random() < 0.3:
                chance.shuffle(segments)
            flags = chance.choice(["S", "A", "FA", "R", "SA", "PAU"])
            segments.insert(chance.randrange(len(segments) + 1), client.data(chance.randrange(len(stream) + 1), b"x", flags))
            native.frames([client.syn(), *segments], at=chance.randrange(200) * SECOND)
        assert native.counters()["tcp_reasm.requests"] > 10


def test_one_that_stood_by_takes_connections_over_when_its_time_begins() -> None:
    """Long after its start: what counts from there counts from when it serves."""
    with Native("tcp_reasm", {"tcp_reasm": {"adopt": "60s"}}) as guest:
        late, begins = 1000 * SECOND, control.request(control.Operation.BEGIN, 1, bytes(6))
        first, second = (Connection(1, f"192.0.2.9:{port}").data(0, request()) for port in (2001, 2002))
        assert guest.frame(first, late) is None
        assert guest.frame(begins, late) is not None and guest.frame(first, late) == first
        assert guest.frame(second, late + 59 * SECOND) == second and guest.frame(second, late + 59 * SECOND) == second
        assert guest.frame(Connection(1, "192.0.2.9:2003").data(0, request()), late + 61 * SECOND) is None
