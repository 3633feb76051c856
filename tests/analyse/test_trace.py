"""Protects: the way that is told of a packet is the one that its counters say it took."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ebpfnf import packets, pipeline, spec
from ebpfnf.agent.flows import position_inputs
from ebpfnf.agent.private import PrivateCopy
from ebpfnf.analyse import expect
from ebpfnf.analyse import trace as engine
from ebpfnf.lab.testbed import surroundings
from ebpfnf.model import Testbed

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def ways(name: str, port: str, *texts: str) -> list[engine.Way]:
    return list(engine.trace(spec.load(EXAMPLES / name / "chain.yaml"), port, texts))


@pytest.mark.kernel
@pytest.mark.parametrize("name", ["dc-edge", "classes", "co-existence"])
def test_the_stages_are_those_that_the_counters_say_it_entered(name: str) -> None:
    deployment = spec.load(EXAMPLES / name / "chain.yaml")
    bundle = pipeline.build(deployment)
    stages = {position["index"]: position["stage"] for position in bundle.positions}
    for port in {expectation.on for expectation in deployment.expect}:
        texts = [e.packet for e in deployment.expect if e.on == port]
        entered = []
        with surroundings(deployment.ports, deployment.testbed) as ports, PrivateCopy(bundle, ports) as copy:
            for number, text in enumerate(texts, 1):
                before = copy.counted()
                copy.run(packets.build(text), port, number * 10**6)
                difference = [new - old for old, new in zip(before, copy.counted(), strict=True)]
                entered.append(sorted(stages[index] for index, count in position_inputs(bundle, difference).items() if count))
        assert [sorted(step.stage for step in way.steps) for way in ways(name, port, *texts)] == entered


@pytest.mark.kernel
def test_a_way_ends_where_the_packet_did_and_says_why() -> None:
    good, denied, piece, other = ways(
        "dc-edge",
        "wan",
        "tcp 192.0.2.9:4000 > 198.51.100.7:80 flags S",
        "tcp 203.0.113.5:4000 > 198.51.100.7:80 flags S",
        "tcp 192.0.2.9:4000 > 198.51.100.7:80 frag 0 mf",
        "arp who-has 192.0.2.1",
    )
    assert good.outcome == "REDIRECT lan" and [step.stage for step in good.steps][:2] == ["edge.l2", "edge.acl"]
    assert {step.way for step in good.steps} == {"NEXT"} and good.changed and "> 10.1.0.1" in engine.shown(good.frame)
    assert [(step.stage, step.way) for step in denied.steps] == [("edge.l2", "NEXT"), ("edge.acl", "DROP")]
    assert (denied.reason, denied.because, denied.frame) == ("edge.acl_deny", "a rule or the default denies this packet", b"")
    assert (piece.chains, piece.steps, piece.reason) == (("inbound",), (), "chain.inbound.fragment")
    assert (other.chains, other.outcome, other.changed) == ((), "PASS port.wan.otherwise", False)


@pytest.mark.kernel
def test_what_the_kernel_got_for_want_of_a_route_says_so() -> None:
    deployment = dataclasses.replace(spec.load(EXAMPLES / "dc-edge" / "chain.yaml"), testbed=Testbed())
    wrong = [words for checked in expect.check(deployment) for words in checked.wrong if words.startswith("verdict PASS")]
    assert wrong and all("(route.route.pass), wanted REDIRECT: as where the kernel knows no route" in words for words in wrong)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tcp 192.0.2.9:4000 > 198.51.100.7:80", "tcp 192.0.2.9:4000 > 198.51.100.7:80 ttl 64"),
        ("udp [2001:db8::9]:4000 > [2001:db8::7]:53 ttl 3", "udp [2001:db8::9]:4000 > [2001:db8::7]:53 ttl 3"),
        ("icmp 192.0.2.9 > 198.51.100.7 ttl 9", "icmp 192.0.2.9 > 198.51.100.7 ttl 9"),
        ("tcp 192.0.2.9 > 198.51.100.7 frag 8", "tcp 192.0.2.9 > 198.51.100.7 ttl 64"),
        ("arp who-has 192.0.2.1", ""),
    ],
)
def test_a_frame_is_shown_in_the_words_of_packet_text(text: str, words: str) -> None:
    frame = packets.build(text)
    assert engine.shown(frame).startswith(words) and f"eth {frame[6:12].hex(':')} > " in engine.shown(frame)
    assert "vlan 7" in engine.shown(packets.build("tcp 192.0.2.9:1 > 192.0.2.8:2 vlan 7"))
