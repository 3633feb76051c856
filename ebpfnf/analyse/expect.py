"""Runs the `expect:` lines of a chain.yaml: each packet through the real programs, on a private copy."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ebpfnf import packets, pipeline
from ebpfnf.agent.private import Outcome, PrivateCopy
from ebpfnf.lab.testbed import surroundings
from ebpfnf.model import Bundle, Counter, Deployment, Expectation

ACTIONS = {0: "DROP", 1: "DROP", 2: "PASS", 3: "TX", 4: "REDIRECT"}  # XDP_ABORTED, DROP, PASS, TX, REDIRECT
_NO_ROUTE = ": as where the kernel knows no route or neighbour ('testbed:' gives the ports some)"
_STEP = 10**6  # ns between two expectations: each comes a little later, as packets do


@dataclass(frozen=True, slots=True)
class Checked:
    """An expectation, what became of its packet, and what of that was not as expected (nothing: it holds)."""

    expectation: Expectation
    outcome: str
    wrong: tuple[str, ...]


def check(deployment: Deployment, granularity: str = "") -> Iterator[Checked]:
    """Every expectation in file order, state kept from one to the next. Needs root."""
    bundle = pipeline.build(deployment, granularity)
    frames = [packets.build(e.packet, e.where) for e in deployment.expect]
    with surroundings(deployment.ports, deployment.testbed) as ports, PrivateCopy(bundle, ports) as copy:
        for number, (expectation, frame) in enumerate(zip(deployment.expect, frames, strict=True), 1):
            before = copy.counts()
            outcome = copy.run(frame, expectation.on, number * _STEP)
            entered = [c.chain for c in bundle.counters if c.kind == "entered" and copy.counts()[c.name] > before[c.name]]
            yield Checked(expectation, told(outcome), tuple(_wrong(expectation, outcome, entered, bundle)))


def sent(deployment: Deployment) -> list[dict[str, str]]:
    """The expectations' packets as the agent takes them for `try`."""
    return [{"port": e.on, "data": base64.b64encode(packets.build(e.packet, e.where)).decode()} for e in deployment.expect]


def judged(deployment: Deployment, bundle: Bundle, answers: Sequence[Mapping[str, Any]]) -> tuple[Checked, ...]:
    """The expectations against what a host's `try` gave."""
    checked = []
    for expectation, each in zip(deployment.expect, answers, strict=True):
        outcome = Outcome(each["action"], b"", bundle.counters[each["counter"]], each["port"], -1, b"")
        checked.append(Checked(expectation, told(outcome), tuple(_wrong(expectation, outcome, each["entered"], bundle))))
    return tuple(checked)


def told(outcome: Outcome) -> str:
    """What became of a packet, in one line: `DROP edge.acl_deny`, `REDIRECT lan`."""
    verdict = ACTIONS.get(outcome.action, str(outcome.action))
    return f"{verdict} {outcome.port or outcome.counter.name}"


def names(wanted: str, full: str) -> bool:
    """Whether a reason in short (`acl_deny`, `edge.acl_deny`) names this counter."""
    return full == wanted or full.endswith("." + wanted)


def _wrong(expectation: Expectation, outcome: Outcome, entered: list[str], bundle: Bundle) -> Iterator[str]:
    verdict = ACTIONS.get(outcome.action, str(outcome.action))
    counter = outcome.counter
    if verdict != expectation.verdict:
        routed = counter.kind == "pass" and _mnf(counter, bundle) == "route"
        yield f"verdict {verdict} ({counter.name}), wanted {expectation.verdict}" + (_NO_ROUTE if routed else "")
    if expectation.reason and not names(expectation.reason, counter.name):
        yield f"reason {counter.name}, wanted {expectation.reason}"
    if expectation.port and outcome.port != expectation.port:
        yield f"port {outcome.port or 'none'}, wanted {expectation.port}"
    if expectation.chain and expectation.chain not in entered:
        yield f"chain {', '.join(entered) or 'none'}, wanted {expectation.chain}"
    if expectation.by and not _ended_by(expectation.by, outcome, bundle):
        yield f"decided by {counter.stage or counter.name}, wanted {expectation.by}"


def _ended_by(wanted: str, outcome: Outcome, bundle: Bundle) -> bool:
    """`otherwise`, or the stage, instance or mNF that ended the packet."""
    counter = outcome.counter
    if wanted == "otherwise":
        return counter.kind == "otherwise"
    return wanted in (counter.stage, counter.stage.partition(".")[0], _mnf(counter, bundle))


def _mnf(counter: Counter, bundle: Bundle) -> str:
    return next((str(stage["mnf"]) for stage in bundle.stages if stage["id"] == counter.stage), "")
