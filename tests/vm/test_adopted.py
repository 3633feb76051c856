"""A connection that is led to the reader of streams when a request begins is read whole, whatever its pieces and numbers."""

from __future__ import annotations

import pytest

from ebpfnf.lab.frames import ACK, PUSH, tcp_frame
from ebpfnf.vm.native import Native

ATTACK = b"GET /?id=1%27%20union%20select%20null,null-- HTTP/1.1\r\nHost: a\r\n\r\n"
WINDOW = 16384  # the ring of bytes that tcp_reasm keeps: a run ends at its end


def segment(port: int, seq: int, payload: bytes) -> bytes:
    return tcp_frame(
        "02:00:00:00:00:01", "02:00:00:00:00:02", "192.0.2.9", port, "198.51.100.7", 80, flags=PUSH | ACK, seq=seq, payload=payload
    )


@pytest.mark.parametrize("before", [0, 1, 3, 9, 8000])
def test_an_attack_is_read_wherever_it_is_cut_and_its_numbers_begin(before: int) -> None:
    first = 7 * WINDOW - before
    with Native("sqli_stream", {"tcp_reasm": {"adopted": "at_once", "connections": 128}}) as native:
        for cut in range(1, len(ATTACK)):
            pieces = [segment(4000 + cut, first, ATTACK[:cut]), segment(4000 + cut, first + cut, ATTACK[cut:])]
            assert None in native.frames(pieces), cut
        assert native.counters()["sqli_stream.sql_injection"] == len(ATTACK) - 1
