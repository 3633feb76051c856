"""The interpreter, the graph as it is written and the optimised one must do the same: bytes, verdict, port, counts, all tables.

Where stages run in VMs the test has what was sent there, and by lot it gives back the same, another frame, two, none, or that it was
dropped, soon or late.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from ebpfnf import pipeline, spec
from ebpfnf.agent.private import Outcome, PrivateCopy
from ebpfnf.errors import CompileError, EbpfnfError, VerifierError
from ebpfnf.lab.testbed import surroundings
from ebpfnf.model import Bundle, Deployment
from tests.differential import _model, _wrong_state
from tests.models.interpreter import Interpreter, Result
from tests.optimise.random_chains import Files, frames, make

CHAINS = 8
_COOKIE = 12
_ACTIONS = {1: "DROP", 2: "PASS", 3: "TX", 4: "REDIRECT"}
Build = Callable[[Deployment, str], Bundle]


class Difference(AssertionError):
    """Two of the three disagree."""

    def __init__(self, what: str, chain: str) -> None:
        super().__init__(what)
        self.chain = chain


def compare(seed: int, packets: int, build: Build = pipeline.build, machines: bool = False) -> int:
    """`packets` frames for each of `CHAINS` random graphs; how many comparisons. A Difference holds the smallest files that show it."""
    with tempfile.TemporaryDirectory() as folder:
        files, deployment = make(seed, CHAINS, Path(folder), machines)
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
    there: list[tuple[Result, dict[str, bytes]]] = []  # what machines have: as the model says it, and by each copy its cookie
    with ExitStack() as stack:
        interfaces = stack.enter_context(surroundings(deployment.ports, deployment.testbed))
        granularity = r.choice(("mnf", "vnf", "chain"))
        remembering = replace(deployment, flow_cache=(0, 8, 256)[seed % 3])  # of eight flows most are forgotten again
        copies = {
            "as written": stack.enter_context(_copy(pipeline.build, replace(deployment, optimise=False), "chain", interfaces)),
            f"optimised, {granularity}": stack.enter_context(_copy(build, remembering, granularity, interfaces)),
        }
        model = _model(deployment)
        machines = [vm.stage for copy in copies.values() for vm in copy.bundle.vms]

        def same(what: str, expected: Result, outcomes: Mapping[str, Outcome]) -> int:
            for name, outcome in outcomes.items():
                if wrong := _wrong(expected, outcome, deployment):
                    chain = deployment.chains[expected.m["chain"] - 1].name if expected.m.get("chain") else ""
                    raise Difference(f"{what}, {name}: {wrong}", chain)
            if expected.away:
                there.append((expected, {name: outcome.data[:_COOKIE] for name, outcome in outcomes.items()}))
            return len(outcomes)

        for number in range(packets):
            now += r.choice((0, 1, 10**6, 10**8)) if r.random() < 0.99 else 3 * 10**9
            frame = source.frame()
            outcomes = {name: copy.run(frame, "a", now) for name, copy in copies.items()}
            checks += same(f"packet {number}, {frame.hex()}", model.run(frame, "a", now), outcomes)
            while there and r.random() < 0.5 + len(there) / 20:
                sent, cookies = there.pop(r.randrange(len(there)))
                same_again, other, dropped = sent.data, source.frame(), sent.data[:13] + bytes([r.randint(1, 4)])
                for back in r.choice(((), (same_again,), (same_again,), (other,), (same_again, other), (dropped,))):
                    outcomes = {name: copy.resume(cookies[name] + back[_COOKIE:]) for name, copy in copies.items()}
                    expected = model.resume(sent, sent.data[:_COOKIE] + back[_COOKIE:])
                    checks += same(f"packet {number}, a machine gave back {back.hex()}", expected, outcomes)
            if machines and r.random() < 0.02:
                _turn(r.choice(machines), model, copies.values())
        for name, copy in copies.items():
            if wrong := "; ".join(_wrong_state(model, copy)):
                raise Difference(f"{name}, at the end: {wrong}", "")
    return checks


def _turn(stage: str, model: Interpreter, copies: Iterable[PrivateCopy]) -> None:
    """Let a stage's machine serve no more, or again."""
    model.down ^= {stage}
    for copy in copies:
        number = next(vm.number for vm in copy.bundle.vms if vm.stage == stage)
        copy.vms_serve(number, () if stage in model.down else (1,))


@contextmanager
def _copy(build: Build, deployment: Deployment, granularity: str, interfaces: Mapping[str, int]) -> Iterator[PrivateCopy]:
    """The deployment, loaded; in smaller programs where one is too large for the verifier or the stack: eight graphs with forks may be."""
    with ExitStack() as stack:
        try:
            copy = stack.enter_context(PrivateCopy(build(deployment, granularity), interfaces, guest=None))
        except (CompileError, VerifierError):
            copy = stack.enter_context(PrivateCopy(build(deployment, "mnf"), interfaces, guest=None))
        yield copy


def _wrong(expected: Result, outcome: Outcome, deployment: Deployment) -> str:
    action = _ACTIONS.get(outcome.action, str(outcome.action))
    if (action, outcome.counter.name) != (expected.action, expected.counter):
        return f"{action} {outcome.counter.name}, the model says {expected.action} {expected.counter}"
    port = next((p.name for p in deployment.ports if p.number == expected.port), "")
    if action in ("TX", "REDIRECT") and outcome.port != port:
        return f"out of '{outcome.port}', the model says '{port}'"
    start = _COOKIE if expected.away else 0
    if action != "DROP" and outcome.data[start:] != expected.data[start:]:
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
