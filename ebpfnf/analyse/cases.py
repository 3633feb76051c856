"""Runs an mNF's cases: its real program, in a deployment of nothing else, frame by frame on a private copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ebpfnf import pipeline, spec
from ebpfnf.agent import tables
from ebpfnf.agent.private import Outcome, PrivateCopy
from ebpfnf.analyse import casefile, record
from ebpfnf.analyse.casefile import PORTS, Case, Step
from ebpfnf.errors import Where
from ebpfnf.lab.testbed import surroundings
from ebpfnf.model import Chain, Deployment, Instance, Mnf, ParamSpec, Vnf, VnfLink, VnfNode
from ebpfnf.spec.problems import quote

NAME = "case"  # of the deployment, its chain and its instance
_SET = Path(__file__).parent / "case_set"


@dataclass(frozen=True, slots=True)
class Failure:
    """What was other than the case says."""

    case: str
    what: str
    where: Where

    def __str__(self) -> str:
        return f"{self.where}: case {quote(self.case)}: {self.what}"


def run(folder: Path, granularity: str = "chain") -> tuple[int, tuple[Failure, ...]]:
    """How many steps ran, and what failed. Needs root. Raises SpecErrors where a file is wrong."""
    mnf = spec.load_mnf(folder)
    cases = casefile.read(folder, mnf)
    failures = tuple(failure for case in cases for failure in _run(case, mnf, granularity))
    return sum(len(case.steps) for case in cases), failures


def deployment_of(case: Case, mnf: Mnf) -> Deployment:
    """A chain of one VNF that takes every frame of the case: `case_set`, which sets metadata, then the mNF."""
    setter = _setter(case)
    links = [VnfLink("case_set", "NEXT", mnf.name), *(VnfLink(mnf.name, outcome, "exit") for outcome in _open_ends(mnf))]
    nodes = (VnfNode("case_set", setter, {"steps": _presets(case, setter)}), VnfNode(mnf.name, mnf, case.arguments))
    vnf = Vnf(NAME, mnf.summary, (), nodes, tuple(links), {"forward": "case_set", "reverse": "case_set"})
    types = sorted({_ether_type(step.packet) for step in case.steps})
    chain = Chain(NAME, PORTS[0].name, "forward", {"eth.type": tuple(types)}, (NAME,), "pass")
    # unoptimised: what nobody behind the mNF uses is what its cases look at
    return Deployment(NAME, PORTS, (Instance(NAME, vnf, {}),), (chain,), testbed=case.testbed, optimise=False)


def _open_ends(mnf: Mnf) -> list[str]:
    """NEXT, and the outcomes that don't end the packet."""
    return [*(["NEXT"] if "NEXT" in mnf.verdicts else []), *(name for name, default in mnf.outcomes.items() if default in ("NEXT", ""))]


def _setter(case: Case) -> Mnf:
    """`case_set`, its table filled by a parameter that no file could spell."""
    mnf = spec.load_mnf(_SET)
    steps = replace(mnf.tables[0], size=max(64, len(case.steps)), entries="steps")
    return replace(mnf, params=(ParamSpec("steps", "list[step]"),), tables=(steps,), writes=mnf.writes | {"m.dir"})  # no other may


def _presets(case: Case, setter: Mnf) -> list[dict[str, Any]]:
    value = setter.tables[0].value
    assert isinstance(value, Mapping)
    zero = {"ip": "::", "mac": "00:00:00:00:00:00"}
    fields = {name: zero.get(kind, 0) for name, kind in value.items()}
    return [{**fields, **step.given, "now": _now(step, k)} for k, step in enumerate(case.steps, 1)]


def _now(step: Step, number: int) -> int:
    return step.at + number


def _ether_type(frame: bytes) -> int:
    """What m.eth_type will be: the type behind at most two tags."""
    at = 12
    while at < 20 and frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    return int.from_bytes(frame[at : at + 2], "big")


def _run(case: Case, mnf: Mnf, granularity: str) -> Iterator[Failure]:
    deployment = deployment_of(case, mnf)
    bundle = pipeline.build(deployment, granularity)
    places = record.places(pipeline.expand(deployment))
    with surroundings(deployment.ports, case.testbed) as interfaces, PrivateCopy(bundle, interfaces) as copy:
        for number, step in enumerate(case.steps, 1):
            before = copy.counts()
            outcome = copy.run(step.packet, PORTS[0].name, _now(step, number))
            counted = {name: count - before[name] for name, count in copy.counts().items()}
            for what in _wrong(step, mnf, outcome, counted, places):
                yield Failure(case.name, f"step {number}: {what}", step.where)
        for what in _wrong_tables(case, mnf, copy):
            yield Failure(case.name, what, case.where)


def _wrong(step: Step, mnf: Mnf, outcome: Outcome, counted: Mapping[str, int], places: Mapping[str, Any]) -> Iterator[str]:
    verdict = _verdict(mnf, outcome, counted)
    wanted = f"{step.verdict} {step.detail}".rstrip()
    if verdict != wanted:
        yield f"verdict {verdict}, wanted {wanted}"
    if step.after is not None and outcome.data != step.after:
        yield f"packet after it {outcome.data.hex()}, wanted {step.after.hex()}"
    metadata = record.decode(outcome.metadata, places) if step.then else {}
    for name, value in step.then.items():
        if metadata[name] != value:
            yield f"m.{name} is {metadata[name]}, wanted {value}"


def _verdict(mnf: Mnf, outcome: Outcome, counted: Mapping[str, int]) -> str:
    """What the mNF said, told from where the packet ended and what was counted."""
    said = [name for name in mnf.outcomes if counted[f"{NAME}.{name}"]]
    if said:
        return f"TO {said[0]}"
    name = outcome.counter.name
    if name == f"chain.{NAME}.out":
        return "NEXT"
    if name.startswith(f"{NAME}.{mnf.name}."):
        return f"{outcome.counter.kind.upper()} {outcome.port if outcome.counter.kind == 'redirect' else ''}".rstrip()
    return f"DROP {name.removeprefix(f'{NAME}.')}"


def _wrong_tables(case: Case, mnf: Mnf, copy: PrivateCopy) -> Iterator[str]:
    for name, rows in case.tables.items():
        table, handle = copy.table(f"{NAME}.{mnf.name}.{name}")
        found = {str(key): value for key, value in tables.dump(table, handle)}
        for key, wanted in rows.items():
            value = found.get(str(key), _zero(wanted) if table.kind == "counter" else None)
            if isinstance(value, Mapping) and isinstance(wanted, Mapping):
                value = {field: value.get(field) for field in wanted}
            if value != wanted:
                yield f"table '{name}': {key} is {value}, wanted {wanted}"


def _zero(wanted: Any) -> Any:
    """A counter that nobody touched is not listed."""
    return dict.fromkeys(wanted, 0) if isinstance(wanted, Mapping) else 0
