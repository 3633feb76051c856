"""Protects: an mNF beside the path sees what it would have seen on it, byte for byte, as far as there was room for a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import packets, pipeline
from ebpfnf.agent import tables
from ebpfnf.agent.private import PrivateCopy
from ebpfnf.model import BESIDE, COPIES, Bundle

pytestmark = pytest.mark.kernel

CHAIN = """
ebpfnf: 1
deployment: aside
ports:
  wan: {{interface: eth0}}
  lan: {{interface: eth1}}
vnfs:
  hops: {{vnf: hop}}
  log: {{vnf: log-all, lossy: {lossy}}}
chains:
  in: {{on: wan, match: {{}}, path: [{path}], then: "out:lan"}}
"""
READS = {"record": "m.len, ip.dst, l4.dport", "head": "eth.src, ip.ttl, ip.dscp, ip.len", "whole": "tcp.seq, pl.head, l4.dport, ip.ttl"}
SUMS = {
    "record": "pkt->m.len + pkt->flow.daddr.w[3] + get_l4_dport(pkt)",
    "head": "get_eth_src(pkt).b[5] + get_ip_ttl(pkt) + get_ip_dscp(pkt) + get_ip_len(pkt)",
    "whole": "get_tcp_seq(pkt) + payload_byte(pkt, 3) * 256 + payload_byte(pkt, 1400) + get_l4_dport(pkt) + get_ip_ttl(pkt)",
}


def built(folder: Path, what: str, lossy: bool, path: str = "hops, log") -> Bundle:
    """A packet's TTL is lowered, then a log adds up what it sees of it."""
    (folder / "mnfs/log").mkdir(parents=True, exist_ok=True)
    (folder / "vnfs").mkdir(exist_ok=True)
    (folder / "chain.yaml").write_text(CHAIN.format(lossy=str(lossy).lower(), path=path))
    (folder / "vnfs/hop.yaml").write_text("vnf: hop\nsummary: TTL\nmnfs: {ttl: {mnf: ttl_dec}}\n")
    (folder / "vnfs/log-all.yaml").write_text("vnf: log-all\nsummary: log\nmnfs: {log: {mnf: log}}\n")
    (folder / "mnfs/log/mnf.yaml").write_text(
        f"mnf: log\nsummary: Log.\nreads: [{READS[what]}]\nwrites: [m.class]\nverdicts: [NEXT]\n"
        "state: {seen: {table: counter, size: 1, value: {packets: u64, sum: u64}, keep: true}}\n"
    )
    body = f"seen_add(0, &(struct seen_value){{ .packets = 1, .sum = (u32)({SUMS[what]}) }});"
    (folder / "mnfs/log/mnf.c").write_text(f"MNF(struct pkt *pkt)\n{{\n\t{body}\n\treturn NEXT;\n}}\n")
    return pipeline.build_file(folder / "chain.yaml")


FRAMES = [
    packets.build(text)
    for text in (
        "tcp 192.0.2.9:4000 > 198.51.100.7:80 flags S seq 77",
        "tcp 192.0.2.9:4000 > 198.51.100.7:80 seq 123456789 payload 'GET / HTTP/1.1' dscp 46 ttl 9",
        "udp [2001:db8::9]:53 > [2001:db8::7]:80 payload 'hello' vlan 5 vlan 6",
        "tcp 192.0.2.9:4000 > 198.51.100.7:443 size 1514 ttl 3",
        "icmp 192.0.2.9 > 198.51.100.7",
        "udp 192.0.2.9:1 > 198.51.100.7:2 frag 8 mf",
    )
]


@pytest.mark.parametrize("what", READS)
def test_a_copy_is_as_good_as_the_packet(what: str, tmp_path: Path) -> None:
    """What was written before is in it, what the copy before left in its place is not; and the packet leaves as ever."""
    left = []
    for lossy in (False, True):
        with PrivateCopy(built(tmp_path, what, lossy)) as copy:
            done = [(o.action, o.data, o.counter.name) for o in (copy.run(frame, "wan", 10**9) for frame in FRAMES * 3)]
            left.append((done, dict(tables.dump(*copy.table("log.log.seen")))))
            assert (copy.bundle.programs[-1].name == BESIDE) is lossy
    assert left[0] == left[1] and left[0][1]["0"]["sum"]


def test_a_frame_that_is_longer_than_a_copy_is_missed_and_counted(tmp_path: Path) -> None:
    """... where all of it is wanted; where its beginning is enough it is not missed."""
    for what, missed in (("whole", 1), ("head", 0)):
        with PrivateCopy(built(tmp_path, what, lossy=True)) as copy:
            copy.run(packets.build("tcp 192.0.2.9:4000 > 198.51.100.7:80 size 2500"), "wan", 10**9)
            assert copy.counts()["log.lost"] == missed
            assert len(list(tables.dump(*copy.table("log.log.seen")))) == 1 - missed


def test_a_full_ring_misses_the_rest_and_holds_nobody_up(tmp_path: Path) -> None:
    """`time` reads no copies: the ring fills, what follows is counted as missed; later all that waited is read, once."""
    with PrivateCopy(built(tmp_path, "head", lossy=True, path="log")) as copy:
        for _ in range(3):  # the ring goes round
            copy.time(FRAMES[1], "wan", 10**9, COPIES + 300)
            copy.run(FRAMES[0], "wan", 10**9)
        counts, seen = copy.counts(), dict(tables.dump(*copy.table("log.log.seen")))["0"]["packets"]
        assert counts["chain.in.entered"] == counts["chain.in.out"] == 3 * (COPIES + 301)
        assert counts["log.lost"] == 3 * 301 and seen == 3 * COPIES
