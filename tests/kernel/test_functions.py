"""Functions of others: who is handed what, what comes back is a new packet, and what `on_failure` says holds while they are down."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.agent.private import Outcome, PrivateCopy
from ebpfnf.analyse import expect
from ebpfnf.lab.frames import tcp_frame
from ebpfnf.model import Bundle

pytestmark = pytest.mark.kernel

TEXT = """
ebpfnf: 1
deployment: foreign
ports:
  a: {interface: a0}
  b: {interface: b0}
  fw-in: {interface: f0, otherwise: drop}
  fw-out: {interface: f1, otherwise: drop}
vnfs:
  edge: {vnf: edge-firewall, rules: [], default: allow}
functions:
  fw: {attached: [fw-in, fw-out], on_failure: %s%s}
chains:
  there: {on: a, match: {ip.proto: tcp}, path: [edge], then: "out: fw-in"}
  behind: {on: fw-out, match: {l4.dport: 80}, path: [], then: "out: b"}
  back: {on: b, direction: reverse, match: {}, path: [], then: "out: fw-out"}
  home: {on: fw-in, direction: reverse, match: {}, path: [], then: "out: a"}
"""
HOST, PEER = "02:00:00:00:00:01", "02:00:00:00:00:02"


def bundle(folder: Path, on_failure: str, more: str = "", granularity: str = "") -> Bundle:
    (folder / "chain.yaml").write_text(TEXT % (on_failure, more))
    return pipeline.build(spec.load(folder / "chain.yaml"), granularity)


def frame(port: int = 80) -> bytes:
    return tcp_frame(PEER, HOST, "192.0.2.9", 4000, "198.51.100.7", port)


def ended(outcome: Outcome) -> tuple[str, str]:
    return outcome.counter.name, outcome.port


def counted(copy: PrivateCopy) -> dict[str, int]:
    return {name.removeprefix("fw."): count for name, count in copy.counts().items() if name.startswith("fw.") and count}


def test_what_goes_there_is_counted_and_what_comes_back_is_classified_anew(tmp_path: Path) -> None:
    with PrivateCopy(bundle(tmp_path, "bypass")) as copy:
        sent = copy.run(frame(), "a", 0)
        assert ended(sent) == ("chain.there.out", "fw-in") and sent.data == frame()
        assert ended(copy.run(frame(), "fw-out", 0)) == ("chain.behind.out", "b")
        assert ended(copy.run(frame(81), "fw-out", 0)) == ("port.fw-out.otherwise", "")
        assert ended(copy.run(frame(), "b", 0)) == ("chain.back.out", "fw-out")
        assert ended(copy.run(frame(), "fw-in", 0)) == ("chain.home.out", "a")
        assert counted(copy) == {"sent": 2, "returned": 3}


@pytest.mark.parametrize("granularity", ["chain", "mnf"])
def test_bypass_is_as_if_the_function_had_given_it_back_unchanged(tmp_path: Path, granularity: str) -> None:
    with PrivateCopy(bundle(tmp_path, "bypass", granularity=granularity)) as copy:
        copy.functions_serve(())
        for port, number, end in (
            ("a", 80, ("chain.behind.out", "b")),
            ("a", 81, ("port.fw-out.otherwise", "")),
            ("b", 80, ("chain.home.out", "a")),
        ):
            done = copy.run(frame(number), port, 0)
            assert ended(done) == end and done.data == frame(number)
        assert counted(copy) == {"bypassed": 3}
        copy.functions_serve(("fw",))
        assert ended(copy.run(frame(), "a", 0)) == ("chain.there.out", "fw-in")
        assert counted(copy) == {"bypassed": 3, "sent": 1}


def test_drop_is_counted_as_the_function_s(tmp_path: Path) -> None:
    with PrivateCopy(bundle(tmp_path, "drop")) as copy:
        copy.functions_serve(())
        assert ended(copy.run(frame(), "a", 0))[0] == "fw.function_down"
        assert counted(copy) == {"function_down": 1}


def test_frames_are_addressed_to_a_function_that_has_addresses(tmp_path: Path) -> None:
    macs = ', macs: ["02:00:00:00:0f:01", "02:00:00:00:0f:02"]'
    with PrivateCopy(bundle(tmp_path, "drop", macs)) as copy:
        for port, mac in (("a", "020000000f01"), ("b", "020000000f02")):
            assert copy.run(frame(), port, 0).data == bytes.fromhex(mac) + frame()[6:]


RING = """
ebpfnf: 1
deployment: ring
ports: {a: {interface: a0}, one-in: {interface: f0}, one-out: {interface: f1}, two-in: {interface: f2}, two-out: {interface: f3}}
functions:
  one: {attached: [one-in, one-out], on_failure: bypass}
  two: {attached: [two-in, two-out], on_failure: bypass}
chains:
  there: {on: a, match: {}, path: [], then: "out: one-in"}
  on: {on: one-out, match: {}, path: [], then: "out: two-in"}
  round: {on: two-out, match: {}, path: [], then: "out: one-in"}
"""


def test_a_ring_of_functions_that_are_down_ends_and_is_counted(tmp_path: Path) -> None:
    (tmp_path / "chain.yaml").write_text(RING)
    with PrivateCopy(pipeline.build(spec.load(tmp_path / "chain.yaml"))) as copy:
        copy.functions_serve(())
        assert ended(copy.run(frame(), "a", 0))[0] in ("one.missed", "two.missed")
        assert copy.counts()["one.bypassed"] + copy.counts()["two.bypassed"] == 34, "as many tail calls as the kernel allows, and one"
        copy.functions_serve(("two",))
        assert ended(copy.run(frame(), "a", 0)) == ("chain.on.out", "two-in")


@pytest.mark.parametrize("name", ["chain", "proxy"])
def test_what_the_example_expects_holds(name: str) -> None:
    deployment = spec.load(Path(__file__).parents[2] / "examples" / "co-existence" / f"{name}.yaml")
    checked = list(expect.check(deployment))
    assert len(checked) >= 4 and not [each for each in checked if each.wrong]
