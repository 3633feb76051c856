"""The interpreter, the graph as it is written and the optimised one must do the same: bytes, verdict, port, counts, all tables."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from ebpfnf import pipeline, spec
from ebpfnf.agent.private import Outcome, PrivateCopy
from ebpfnf.errors import CompileError, EbpfnfError, VerifierError
from ebpfnf.lab.testbed import surroundings
from ebpfnf.model import Bundle, Deployment
from tests.differential import _model, _wrong_state
from tests.models.interpreter import Result
from tests.optimise.random_chains import Files, frames, make

CHAINS = 8
_ACTIONS = {1: "DROP", 2: "PASS", 3: "TX", 4: "REDIRECT"}
Build = Callable[[Deployment, str], Bundle]


class Difference(AssertionError):
    """Two of the three disagree."""

    def __init__(self, what: str, chain: str) -> None:
        super().__init__(what)
        self.chain = chain


def compare(seed: int, packets: int, build: Build = pipeline.build) -> int:
    """`packets` frames for each of `CHAINS` random graphs; how many comparisons. A Difference holds the smallest files that show it."""
    with tempfile.TemporaryDirectory() as folder:
        files, deployment = make(seed, CHAINS, Path(folder))
        try:
            return run(deployment, seed, packets * CHAINS, build)
        except Difference as error:
            smaller = shrink(files, error, lambda less: run(spec.load(less.write(Path(folder))), seed, packets * CHAINS, build))
            texts = "\n".join(f"# {name}\n{text}" for name, text in smaller.texts().items())
            raise Difference(f"seed {seed}: {error}\n{texts}", error.chain) from None


def run(deployment: Deployment, seed: int, packets: int, build: Build = pipeline.build) -> int:
    """The same frames through all three, at times of a virtual clock."""
    r = random.Random(seed)
    source, now, checks = frames(r, CHAINS), 10**9, 0
    with ExitStack() as stack:
        interfaces = stack.enter_context(surroundings(deployment.ports, deployment.testbed))
        granularity = r.choice(("mnf", "vnf", "chain"))
        remembering = replace(deployment, flow_cache=(0, 8, 256)[seed % 3])  # of eight flows most are forgotten again
        copies = {
            "as written": stack.enter_context(_copy(pipeline.build, replace(deployment, optimise=False), "chain", interfaces)),
            f"optimised, {granularity}": stack.enter_context(_copy(build, remembering, granularity, interfaces)),
        }
        model = _model(deployment)
        for number in range(packets):
            now += r.choice((0, 1, 10**6, 10**8)) if r.random() < 0.99 else 3 * 10**9
            frame = source.frame()
            expected = model.run(frame, "a", now)
            for name, copy in copies.items():
                if wrong := _wrong(expected, copy.run(frame, "a", now), deployment):
                    chain = deployment.chains[expected.m["chain"] - 1].name if expected.m.get("chain") else ""
                    raise Difference(f"packet {number}, {name}: {wrong}\n{frame.hex()}", chain)
                checks += 1
        for name, copy in copies.items():
            if wrong := "; ".join(_wrong_state(model, copy)):
                raise Difference(f"{name}, at the end: {wrong}", "")
    return checks


@contextmanager
def _copy(build: Build, deployment: Deployment, granularity: str, interfaces: Mapping[str, int]) -> Iterator[PrivateCopy]:
    """The deployment, loaded; in smaller programs where one is too large for the verifier or the stack: eight graphs with forks may be."""
    with ExitStack() as stack:
        try:
            copy = stack.enter_context(PrivateCopy(build(deployment, granularity), interfaces))
        except (CompileError, VerifierError):
            copy = stack.enter_context(PrivateCopy(build(deployment, "mnf"), interfaces))
        yield copy


def _wrong(expected: Result, outcome: Outcome, deployment: Deployment) -> str:
    action = _ACTIONS.get(outcome.action, str(outcome.action))
    if (action, outcome.counter.name) != (expected.action, expected.counter):
        return f"{action} {outcome.counter.name}, the model says {expected.action} {expected.counter}"
    port = next((p.name for p in deployment.ports if p.number == expected.port), "")
    if action in ("TX", "REDIRECT") and outcome.port != port:
        return f"out of '{outcome.port}', the model says '{port}'"
    if action != "DROP" and outcome.data != expected.data:
        return f"{action} {outcome.data.hex()}, the model says {expected.data.hex()}"
    return ""


def shrink(files: Files, error: Difference, again: Callable[[Files], object]) -> Files:
    """Fewer chains, then shorter paths, as long as something differs."""

    def differs(less: Files) -> bool:
        try:
            again(less)
        except Difference:
            return True
        except EbpfnfError:
            return False
        return False

    chains: Sequence[str] = [error.chain] if error.chain else list(files.chains)
    smaller = next((less for chain in chains if differs(less := files.only(chain))), files)
    if len(smaller.chains) > 1:
        return smaller
    (chain,) = smaller.chains
    place = 0
    while place < len(smaller.chains[chain][0]):
        less = smaller.without(chain, place)
        if differs(less):
            smaller = less
        else:
            place += 1
    return smaller
