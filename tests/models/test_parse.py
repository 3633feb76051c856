"""The parser's model itself, on the lists that break parsers; and that the generator of frames makes all of them."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from ebpfnf.packets import build
from tests.generators import Frames
from tests.models.parse import HAVE_FRAG, HAVE_ICMP, HAVE_IP, HAVE_L4, HAVE_ND, HAVE_TCP, HAVE_UDP, HAVE_VLAN, Unparsable, parse


def test_payload_ends_where_ip_says_not_where_the_frame_does() -> None:
    parsed = parse(build("tcp 192.0.2.1:1 > 192.0.2.2:2 payload 'ab'"))
    assert (parsed.len, parsed.l3, parsed.l4, parsed.pl, parsed.pl_len) == (60, 14, 34, 54, 2)


def test_third_tag_makes_it_no_ip() -> None:
    frame = build("udp 192.0.2.1:1 > 192.0.2.2:2 vlan 5 vlan 6")
    parsed = parse(frame[:12] + bytes.fromhex("88a80007") + frame[12:])
    assert (parsed.eth_type, parsed.vlan_id, parsed.ip_version) == (0x8100, 7, 0)


@pytest.mark.parametrize("cut", [0, 13, 14 + 19, 34 + 19])
def test_truncated_headers_are_malformed(cut: int) -> None:
    with pytest.raises(Unparsable, match="malformed"):
        parse(build("tcp 192.0.2.1:1 > 192.0.2.2:2 size 100")[:cut])


def test_control_frames_from_outside_are_known() -> None:
    with pytest.raises(Unparsable, match="control_frame"):
        parse(bytes(12) + b"\x88\xb5" + bytes(46))


def test_frames_of_the_generator_meet_every_branch() -> None:
    """A differential test is worth what its frames reach."""
    frames, seen = Frames(random.Random(1)), Counter[str]()
    bits = {"vlan": HAVE_VLAN, "ip": HAVE_IP, "l4": HAVE_L4, "tcp": HAVE_TCP, "udp": HAVE_UDP}
    bits |= {"icmp": HAVE_ICMP, "nd": HAVE_ND, "frag": HAVE_FRAG}
    for _ in range(3000):
        try:
            parsed = parse(frames.frame())
        except Unparsable as reason:
            seen[reason.args[0]] += 1
            continue
        seen.update(name for name, bit in bits.items() if parsed.have & bit)
        seen[f"version {parsed.ip_version}"] += 1
        seen["options"] += parsed.l4 - parsed.l3 > 40
        seen["l4 without ports"] += bool(parsed.l4 and not parsed.have & (HAVE_L4 | HAVE_ICMP))
        seen["no next header"] += parsed.proto == 59 and parsed.ip_version == 6
    wanted = [*bits, "malformed", "control_frame", "version 0", "version 4", "version 6", "options", "l4 without ports", "no next header"]
    rare = {name: seen[name] for name in wanted}
    assert min(rare.values()) >= 10, rare
    assert seen["l4"] > 600
