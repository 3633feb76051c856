"""tcp_reasm with sqli_stream and url_filter: what is bounded stays so, what is refused stays refused, other traffic is let alone."""

from __future__ import annotations

import random
import struct

from ebpfnf.vm import control
from ebpfnf.vm.native import Native

from .frames import Connection, frame, tcp_checksum_right
from .streams import ATTACK, DENY, IMAGE, SECOND, passes, ports, request


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


def test_a_packet_that_is_cut_off_is_not_made_whole(wall: Native) -> None:
    """Nobody reads what lacks a byte: padding must not give it that byte."""
    whole = Connection().data(0, b"' OR 1")
    assert len(whole) == 60
    assert wall.frame(whole[:59]) == whole[:59]
    assert wall.frame(whole[:14]) == whole[:14] + bytes(46)  # else it would be taken for the receipt of a drop


def test_a_beginning_that_is_dropped_makes_nothing_forgotten(wall: Native) -> None:
    """The server has the first bytes still, so others must not pass in their place."""
    client = Connection()
    assert passes(wall, [client.syn(), client.data(0, b"GET /a"), client.data(6, b"", "FA")])
    assert wall.frames([client.data(-1, b"x", "SU"), client.data(0, b"GET /b")]) == [None, None]
    assert [wall.counters()[f"tcp_reasm.{reason}"] for reason in ("urgent", "contradiction")] == [1, 1]


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
