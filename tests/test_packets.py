"""Packet text: what an operator writes in `expect:` and an author in cases.yaml becomes the frame he means, or a clear error."""

from __future__ import annotations

import pytest

from ebpfnf.errors import SpecError
from ebpfnf.packets import build
from tests.models import parse
from tests.models.packet import ones_sum


def test_tcp_over_ipv4_has_the_values_written() -> None:
    frame = build("tcp 192.0.2.9:4000 > 198.51.100.7:80 flags SA seq 7 ack 9 ttl 3 dscp 46 eth 02:00:00:00:00:0a > 02:00:00:00:00:0b")
    assert frame[:14].hex() == "02000000000b02000000000a0800"
    assert frame[15] == 46 << 2 and frame[22] == 3
    assert frame[26:34].hex() == "c0000209c6336407"
    assert frame[34:38].hex() == "0fa00050"
    assert frame[38:46].hex() == "0000000700000009"
    assert frame[47] == 0x12
    assert ones_sum(frame[14:34]) == 0xFFFF


def test_short_frames_are_padded_behind_the_end_of_ip() -> None:
    frame = build("udp 192.0.2.1:53 > 198.51.100.7:53 payload 'hi'")
    assert len(frame) == 60
    parsed = parse.parse(frame)
    assert frame[parsed.pl : parsed.pl + parsed.pl_len] == b"hi"


def test_escapes_stand_for_bytes() -> None:
    frame = build(r"tcp 192.0.2.1:1 > 192.0.2.2:2 payload 'GET / it\'s\r\n\xff\\é'")
    parsed = parse.parse(frame)
    assert frame[parsed.pl :][: parsed.pl_len] == b"GET / it's\r\n\xff\\" + "é".encode()


@pytest.mark.parametrize("text", ["tcp 192.0.2.1:1 > 192.0.2.2:2", "udp [2001:db8::1]:1 > [2001:db8::2]:2", "icmp 192.0.2.1 > 192.0.2.2"])
def test_size_is_the_frames(text: str) -> None:
    assert len(build(text + " size 1000")) == 1000
    parsed = parse.parse(build(text + " size 1000"))
    assert parsed.pl + parsed.pl_len == 1000


def test_one_tag_and_two() -> None:
    assert build("udp 192.0.2.1:1 > 192.0.2.2:2 vlan 5")[12:18].hex() == "810000050800"
    assert build("udp 192.0.2.1:1 > 192.0.2.2:2 vlan 5 vlan 6")[12:22].hex() == "88a80005810000060800"


def test_first_fragment_has_the_l4_header_a_later_one_has_not() -> None:
    first = build("udp 192.0.2.1:1 > 192.0.2.2:2 payload 'abcdefgh' frag 0 mf")
    assert first[20:22].hex() == "2000" and first[34:38].hex() == "00010002"
    later = build("udp 192.0.2.1:1 > 192.0.2.2:2 payload 'abcdefgh' frag 185")
    assert later[20:22].hex() == "00b9" and later[34:42] == b"abcdefgh"
    six = build("udp [2001:db8::1]:1 > [2001:db8::2]:2 payload 'abcdefgh' frag 2 mf")
    assert six[20] == 44 and six[54] == 17 and six[56:58].hex() == "0011" and six[62:70] == b"abcdefgh"
    for frame in (first, later, six):
        assert parse.parse(frame).frag == 1


def test_bad_checksum_is_the_ip_headers_or_without_one_that_of_l4() -> None:
    good, bad = build("tcp 192.0.2.1:1 > 192.0.2.2:2"), build("tcp 192.0.2.1:1 > 192.0.2.2:2 csum bad")
    assert [i for i in range(len(good)) if good[i] != bad[i]] == [24]
    good, bad = build("udp [2001:db8::1]:1 > [2001:db8::2]:2"), build("udp [2001:db8::1]:1 > [2001:db8::2]:2 csum bad")
    assert [i for i in range(len(good)) if good[i] != bad[i]] == [60]


def test_arp_and_hex() -> None:
    assert build("arp who-has 192.0.2.1 tell 192.0.2.9")[12:42].hex().startswith("08060001080006040001020000000001c0000209")
    assert build("hex 0102 03") == b"\1\2\3"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("sctp 192.0.2.1 > 192.0.2.2", "'sctp' is unknown"),
        ("tcp 192.0.2.1:1", "SOURCE > DESTINATION"),
        ("tcp 192.0.2.1:1 > 2001:db8::1", "two IP versions"),
        ("icmp 2001:db8::1 > 2001:db8::2", "doesn't run over IPv6"),
        ("icmp 192.0.2.1:1 > 192.0.2.2", "no ports"),
        ("tcp 192.0.2.300:1 > 192.0.2.2", "no address"),
        ("tcp 192.0.2.1:70000 > 192.0.2.2", "port '70000'"),
        ("udp 192.0.2.1 > 192.0.2.2 flags S", "udp has no 'flags'"),
        ("udp 192.0.2.1 > 192.0.2.2 payload hi", "single quotes"),
        ("udp 192.0.2.1 > 192.0.2.2 payload 'hi", "quote is open"),
        (r"udp 192.0.2.1 > 192.0.2.2 payload '\q'", "escape"),
        ("udp 192.0.2.1 > 192.0.2.2 ttl 256", "0 to 255"),
        ("udp 192.0.2.1 > 192.0.2.2 ttl", "wants a value"),
        ("udp 192.0.2.1 > 192.0.2.2 colour blue", "'colour' is unknown"),
        ("udp 192.0.2.1 > 192.0.2.2 size 20", "too small"),
        ("udp 192.0.2.1 > 192.0.2.2 vlan 1 vlan 2 vlan 3", "two VLAN tags"),
        ("udp 192.0.2.1 > 192.0.2.2 eth 1 > 2", "MAC > MAC"),
        ("arp 192.0.2.1", "who-has"),
        ("hex 012", "pairs of hex digits"),
    ],
)
def test_wrong_text_is_refused_and_says_what_was_wanted(text: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        build(text)
    assert says in str(caught.value)
