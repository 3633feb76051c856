"""Protects: a chain that has a port to itself takes what it would take by the classifier, which is not asked there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import packets, pipeline, spec
from ebpfnf.agent.private import PrivateCopy

pytestmark = pytest.mark.kernel
_CHAIN = """
ebpfnf: 1
deployment: alone
ports: {a: {interface: eth0}, b: {interface: eth1}, c: {interface: eth2}}
vnfs: {stats: {vnf: monitor}}
chains:
  whole: {on: a, match: {}, path: [stats], then: {out: b}}
  some: {on: b, match: {ip.proto: udp}, path: [stats], then: {out: a}}
  rest: {on: b, match: {}, path: [stats], then: {out: a}}
"""
_SOLICIT = "hex 33330000000102000000000186dd6000000000183aff" + "fe80" + "00" * 13 + "01" + "ff02" + "00" * 13 + "01" + "8700" + "00" * 22
_ENDS = (
    ("a", "tcp 192.0.2.9:1 > 198.51.100.7:80", "chain.whole.out"),
    ("a", "icmpv6 2001:db8::1 > 2001:db8::2", "chain.whole.out"),
    ("a", "tcp 192.0.2.9 > 198.51.100.7 frag 9", "chain.whole.out"),
    ("a", "arp who-has 192.0.2.1", "port.a.otherwise"),
    ("a", _SOLICIT, "port.a.otherwise"),
    ("b", "udp 192.0.2.9:1 > 198.51.100.7:80", "chain.some.out"),
    ("b", "tcp 192.0.2.9:1 > 198.51.100.7:80", "chain.rest.out"),
    ("b", _SOLICIT, "port.b.otherwise"),
    ("c", "tcp 192.0.2.9:1 > 198.51.100.7:80", "port.c.otherwise"),
)


def test_a_chain_alone_takes_ip_and_no_neighbour_discovery(tmp_path: Path) -> None:
    (tmp_path / "chain.yaml").write_text(_CHAIN)
    with PrivateCopy(pipeline.build(spec.load(tmp_path / "chain.yaml"))) as copy:
        for port, text, counter in _ENDS:
            assert copy.run(packets.build(text), port, 1).counter.name == counter, (port, text)
