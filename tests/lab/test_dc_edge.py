"""Protects the main job: real HTTP through the example chain, what it denies, and counters that equal what was sent, exactly."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.agent import edit
from ebpfnf.agent.apply import apply, undeploy
from ebpfnf.agent.observe import observe
from ebpfnf.agent.status import status
from ebpfnf.lab import Lab
from ebpfnf.lab.frames import PUSH, send, tcp_frame
from ebpfnf.lab.http import fetch
from ebpfnf.lab.topology import DENIED_V4

pytestmark = pytest.mark.lab

EXAMPLE = Path(__file__).parents[2] / "examples" / "dc-edge" / "chain.yaml"
NAME = f"edge-{os.getpid()}"
CLIENT, PORT, DENIED = "02:00:00:00:09:01", "02:00:00:00:02:01", "02:00:00:00:00:bd"
VIP4, VIP6 = "198.51.100.7", "2001:db8::7"
QUIET = "192.0.2.77"  # nobody answers from here, so that nothing but our own frames is counted
BUCKETS = (64, 127, 255, 511, 1023, 1518)
INJECTION = b"GET /item?id=1' OR 1=1-- HTTP/1.1\r\nHost: shop\r\n\r\n"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    bundle = pipeline.build(dataclasses.replace(spec.load(EXAMPLE), name=NAME))
    with Lab(f"edge{os.getpid()}") as made:
        try:
            with made.enter("dut"):
                apply(bundle)
            yield made
        finally:
            with made.enter("dut"):
                undeploy(NAME)
            Path(f"/run/ebpfnf/{NAME}.lock").unlink(missing_ok=True)


def told(lab: Lab) -> dict[str, Any]:
    with lab.enter("dut"):
        return status(observe(NAME))


def dumped(lab: Lab, table: str) -> dict[str, Any]:
    with lab.enter("dut"):
        return dict(edit.dump(NAME, table))


def received(lab: Lab) -> int:
    with lab.enter("dut"):
        return int(next(line for line in Path("/proc/thread-self/net/dev").read_text().splitlines() if "eth0:" in line).split()[2])


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}


def test_drops_are_counted_by_their_reasons_exactly(lab: Lab) -> None:
    before = told(lab)["counters"]
    frames = [tcp_frame(CLIENT, PORT, DENIED_V4, 4000 + i, VIP4, 80) for i in range(31)]
    frames += [tcp_frame(DENIED, PORT, QUIET, 4000 + i, VIP4, 80) for i in range(17)]
    frames += [tcp_frame(CLIENT, PORT, QUIET, 4000 + i, VIP4, 80, flags=PUSH, payload=INJECTION) for i in range(13)]
    assert send(lab, "client", "eth0", frames) == len(frames)
    counted = grown(before, told(lab)["counters"])
    assert {name: counted.get(name) for name in ("edge.acl_deny", "edge.l2_deny", "waf.sql_injection")} == {
        "edge.acl_deny": 31,
        "edge.l2_deny": 17,
        "waf.sql_injection": 13,
    }
    assert counted["chain.inbound.entered"] == len(frames)


def test_histogram_and_subnets_equal_what_was_sent(lab: Lab) -> None:
    sizes = [60, 64, 65, 128, 200, 400, 512, 700, 1024, 1300, 1514]
    before = dumped(lab, "stats.sizes.sizes"), dumped(lab, "stats.subnets.counts")
    frames = [
        tcp_frame(CLIENT, PORT, QUIET, 5000 + size + turn, VIP4, 80, payload=bytes(size - 54))
        for size in sizes
        for turn in range(size % 7 + 3)
    ]
    assert send(lab, "client", "eth0", frames) == len(frames)
    after = dumped(lab, "stats.sizes.sizes"), dumped(lab, "stats.subnets.counts")
    wanted = [0] * (len(BUCKETS) + 1)
    for frame in frames:
        wanted[sum(len(frame) > bound for bound in BUCKETS)] += 1
    # Servers answer with frames of at most 64 bytes, which pass the same histogram on their way back.
    assert [a - b for a, b in zip(after[0].values(), before[0].values(), strict=True)][1:] == wanted[1:]
    there = [after[1][key] for key in after[1] if after[1][key] != before[1].get(key)]
    gone = [before[1][key] for key in after[1] if key in before[1] and after[1][key] != before[1][key]]
    assert sum(v["packets"] for v in there) - sum(v["packets"] for v in gone) >= len(frames)


def test_ten_thousand_requests_over_both_backends(lab: Lab) -> None:
    before, frames = told(lab), received(lab)
    answers = fetch(lab, VIP4, 5000, concurrency=24) + fetch(lab, VIP6, 5000, concurrency=24)
    assert answers.ok, answers
    assert set(answers.by_backend) == {"web1", "web2"} and min(answers.by_backend.values()) > 2000
    after = told(lab)
    counted = grown(before["counters"], after["counters"])
    wan = {name: count for name, count in counted.items() if name.startswith("port.wan.")}
    assert counted["chain.inbound.entered"] + sum(wan.values()) == received(lab) - frames, "each frame of the port ended somewhere"
    assert not [name for name in counted if name.split(".")[-1] in ("missed", "bad_verdict", "redirect_failed", "too_big")]
    passed = {stage["id"]: stage["in"] for stage in after["stages"]}
    assert sum(dumped(lab, "stats.sizes.sizes").values()) == passed["stats.sizes"], "the histogram holds what entered it"


def test_a_denied_source_gets_no_answer(lab: Lab) -> None:
    answers = fetch(lab, VIP4, 3, source=DENIED_V4, timeout=0.5)
    assert not answers.by_backend and sum(answers.failures.values()) == 3
