"""Protects: what replay says of a frame is what the deployment means, whatever the frame, in every cut into programs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from ebpfnf import spec
from ebpfnf.analyse.capture import Writer, reading
from ebpfnf.analyse.replay import Row, replay_file
from ebpfnf.model import Deployment
from tests.kernel import replay_frames
from tests.models.fib import TestbedFib
from tests.models.interpreter import Interpreter
from tests.subjects import EXAMPLE, SUBJECTS

pytestmark = pytest.mark.kernel
GRANULARITIES = ("mnf", "vnf", "chain")
REASONS = {
    "wan": {
        "port.wan.malformed", "port.wan.control_frame", "port.wan.otherwise", "chain.inbound.fragment", "edge.l2_deny", "edge.acl_deny",
        "waf.sql_injection", "route.route.pass", "chain.inbound.out",
    },
    "lan": {"port.lan.malformed", "port.lan.control_frame", "port.lan.otherwise", "edge.acl_deny"},
}  # fmt: skip
START = 1_700_000_000 * 10**9

Sent = Sequence[tuple[str, int, bytes]]  # port, time, frame


def expected(deployment: Deployment, sent: Sent) -> list[tuple[str, str, str, str]]:
    """Verdict, reason, port and bytes of each frame, as the model has them."""
    model = Interpreter(deployment, spec.router(), TestbedFib(deployment.ports, deployment.testbed), dict.fromkeys((1, 2), 1500))
    names = {port.number: port.name for port in deployment.ports}
    rows = []
    for port, time, frame in sent:
        result = model.run(frame, port, time)
        leaves = names[result.port] if result.action in ("TX", "REDIRECT") else ""
        rows.append((result.action, result.counter, leaves, "" if result.action == "DROP" else result.data.hex()))
    return rows


def said(rows: list[Row]) -> list[tuple[str, str, str, str]]:
    """The same of replay's rows."""
    return [(row.verdict, row.reason, row.port, row.data.hex()) for row in rows]


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("port", ["wan", "lan"])
def test_every_protocol_ends_as_the_model_says(tmp_path: Path, port: str, granularity: str) -> None:
    frames, path = replay_frames.frames(), tmp_path / "in.pcap"
    packets = [Ether(frame) for frame in frames]
    for number, packet in enumerate(packets):
        packet.time = START // 10**9 + number
    wrpcap(str(path), packets, nano=True)
    sent = [(port, START + number * 10**9, frame) for number, frame in enumerate(frames)]
    with replay_file(EXAMPLE, path, on=port, granularity=granularity) as run:
        rows = list(run)
    assert [row.on for row in rows] == [port] * len(frames)
    for row, frame, wanted in zip(rows, frames, expected(spec.load(EXAMPLE), sent), strict=True):
        assert said([row]) == [wanted], f"frame {row.number}: {frame.hex()}"
        assert (row.by == "framework") == (row.reason.split(".")[0] in ("port", "chain"))
    assert run.summary.reasons.keys() >= REASONS[port], "what does not come up was not compared"


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_both_directions_of_a_capture_of_two_interfaces(tmp_path: Path, granularity: str) -> None:
    """State is kept between frames, time is the capture's, hours apart now and then; interfaces are told by port or by device name."""
    subject = next(subject for subject in SUBJECTS if subject.name == "dc-edge")
    rng = random.Random(7)
    source, time, sent = subject.frames(rng), START, []
    for _ in range(5000):
        time += rng.choice((0, 1, 10**6, 10**8)) if rng.random() < 0.99 else rng.randrange(3600) * 10**9
        sent.append((rng.choice(("wan", "lan")), time, source.frame()))
    path, out = tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    with Writer(path, ["wan", "lan", "eth0", "eth1"]) as writer:
        for port, at, frame in sent:
            writer.write(("wan", "lan").index(port) + rng.choice((0, 2)), at, frame)
    with replay_file(EXAMPLE, path, out=out, granularity=granularity) as run:
        rows = list(run)
    wanted = expected(spec.load(EXAMPLE), sent)
    assert said(rows) == wanted
    assert run.summary.reasons.keys() >= {"chain.inbound.out", "chain.outbound.out"}
    assert [(row.on, row.time) for row in rows] == [(port, at) for port, at, _ in sent]
    with reading(out) as frames:
        leaving = [(at, port, data) for (_, at, _), (_, _, port, data) in zip(sent, wanted, strict=True) if port]
        assert [(f.time, f.interface, f.data.hex()) for f in frames] == leaving != []
