"""The same frames through the model and the real programs: each must end the same way, and all tables hold the same."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ebpfnf import pipeline, spec
from ebpfnf.agent import tables
from ebpfnf.agent.private import Outcome, PrivateCopy
from ebpfnf.analyse import record
from ebpfnf.lab.testbed import surroundings
from ebpfnf.model import Bundle, Deployment
from tests.models.fib import TestbedFib
from tests.models.interpreter import Interpreter, Result
from tests.models.tables import Histogram, text
from tests.subjects import Subject

GRANULARITIES = ("mnf", "vnf", "chain")
_ACTIONS = {1: "DROP", 2: "PASS", 3: "TX", 4: "REDIRECT"}
_MTU = 1500
FULL = 10_000  # frames after which every reason must have come up


class Difference(AssertionError):
    """The model and a program disagree."""


def compare(subject: Subject, folder: Path, seed: int, count: int, granularities: Sequence[str] = GRANULARITIES) -> int:
    """Runs `count` frames; returns how many comparisons were made. Raises Difference."""
    deployment = subject.deployment(folder)
    rng = random.Random(seed)
    with ExitStack() as stack:
        interfaces = stack.enter_context(surroundings(deployment.ports, deployment.testbed))
        bundles = {name: pipeline.build(deployment, name) for name in granularities}
        copies = {name: stack.enter_context(PrivateCopy(bundle, interfaces)) for name, bundle in bundles.items()}
        model, places = _model(deployment), record.places(pipeline.expand(deployment))
        checks = 0
        for number, (frame, port, now) in enumerate(_traffic(subject, deployment, rng, count)):
            expected = model.run(frame, port, now)
            for name, copy in copies.items():
                wrong = _wrong(expected, copy.run(frame, port, now), deployment, {} if _changed(copy.bundle) else places)
                if wrong:
                    raise Difference(f"{subject.name}, seed {seed}, {name}, packet {number} on {port} at {now}: {wrong}\n{frame.hex()}")
                checks += 1
        missed = _unreached(subject, model, bundles[granularities[0]]) if count >= FULL else ""
        if missed:
            raise Difference(f"{subject.name}, seed {seed}: no frame came to {missed}")
        for name, copy in copies.items():
            wrong = "; ".join(_wrong_state(model, copy))
            if wrong:
                raise Difference(f"{subject.name}, seed {seed}, {name}, at the end: {wrong}")
    return checks


def _changed(bundle: Bundle) -> bool:
    """Whether the optimiser took out or moved writers of metadata: then the record at the end means nothing."""
    return any(step["kind"] != "unordered" for step in bundle.certificate["steps"])


def _unreached(subject: Subject, model: Interpreter, bundle: Bundle) -> str:
    """Reasons and outcomes of stages that no frame came to: a test that misses them shows nothing."""
    names = {counter.name for counter in bundle.counters if counter.stage}
    return ", ".join(sorted(name for name in names if not model.counts[name] and name.rpartition(".")[2] not in subject.unreached))


def _model(deployment: Deployment) -> Interpreter:
    fib = TestbedFib(deployment.ports, deployment.testbed)
    return Interpreter(deployment, spec.router(), fib, {port.number: _MTU for port in deployment.ports})


def _traffic(subject: Subject, deployment: Deployment, rng: random.Random, count: int) -> Iterator[tuple[bytes, str, int]]:
    """Frames with ports and times: mostly close together, now and then so far apart that what idles is forgotten."""
    frames, now = subject.frames(rng), 10**9
    names = [port.name for port in deployment.ports]
    for _ in range(count):
        now += rng.choice((0, 1, 10**6, 10**8)) if rng.random() < 0.995 else rng.randrange(3600) * 10**9
        yield frames.frame(), rng.choice(names), now


def _wrong(expected: Result, outcome: Outcome, deployment: Deployment, places: Mapping[str, Any]) -> str:
    action = _ACTIONS.get(outcome.action, str(outcome.action))
    if (action, outcome.counter.name) != (expected.action, expected.counter):
        return f"{action} {outcome.counter.name}, the model says {expected.action} {expected.counter}"
    port = next((p.name for p in deployment.ports if p.number == expected.port), "")
    if action in ("TX", "REDIRECT") and outcome.port != port:
        return f"out of '{outcome.port}', the model says '{port}'"
    if action != "DROP" and outcome.data != expected.data:
        return f"{action} {outcome.data.hex()}, the model says {expected.data.hex()}"
    found = record.decode(outcome.metadata, places) if expected.m and action != "DROP" else {}
    wanted = {name: text(expected.m[name], places[name][1].spelling) for name in found}
    return f"metadata {_different(found, wanted)}" if found != wanted else ""


def _wrong_state(model: Interpreter, copy: PrivateCopy) -> Iterator[str]:
    counts = {name: count for name, count in copy.counts().items() if count}
    expected = {name: count for name, count in model.counts.items() if count}
    if counts != expected:
        yield f"counts {_different(counts, expected)}"
    for stage, own in model.tables.items():
        for name, table in own.items():
            if not any(found.name == f"{stage}.{name}" for found in copy.bundle.tables) or table.spec.filled_by == "operator":
                continue
            dumped = dict(tables.dump(*copy.table(f"{stage}.{name}")))
            histogram = isinstance(table, Histogram)
            wanted = dict(zip(dumped, table.counts, strict=True)) if histogram else {str(k): v for k, v in table.dump().items()}
            if dumped != wanted:
                yield f"table {stage}.{name}: {_different(dumped, wanted)}"


def _different(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    names = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
    return ", ".join(f"{name} {found.get(name)} (model {wanted.get(name)})" for name in names[:5])
