"""cases.yaml: the examples beside an mNF, read as strictly as any other file."""
# ruff: noqa: RUF012 -- pydantic copies a default for each value

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ebpfnf import packets
from ebpfnf.errors import SpecError, Where
from ebpfnf.model import Mnf, Port, Testbed
from ebpfnf.spec import deployment, fields, shape, template, yaml
from ebpfnf.spec.files import Line, TestbedShape
from ebpfnf.spec.problems import Problems, meant, quote
from ebpfnf.spec.shape import Shape
from ebpfnf.spec.yaml import Node
from ebpfnf.tables.types import type_of

PORTS = (Port("in", 1, "in"), Port("out", 2, "out"))
_TYPES = {"struct ip_addr": "ip", "struct mac_addr": "mac", "be16": "port"}
_DIR = "dir"


@dataclass(frozen=True, slots=True)
class Step:
    """One packet of a case, and what must become of it."""

    at: int  # ns
    packet: bytes
    given: Mapping[str, Any]  # metadata before: core field -> canonical value
    verdict: str  # NEXT DROP PASS TX REDIRECT TO
    detail: str  # the reason, outcome or port
    then: Mapping[str, Any]  # metadata after: field, or <mnf>.<field> -> canonical value
    after: bytes | None  # the bytes that leave
    where: Where


@dataclass(frozen=True, slots=True)
class Case:
    """Packets in a row through one mNF with these parameters, and what stands in its tables at the end."""

    name: str
    arguments: Mapping[str, Any]
    steps: tuple[Step, ...]
    tables: Mapping[str, Mapping[str, Any]]  # table -> key in text -> what must be there; of a record some fields
    testbed: Testbed
    where: Where


class StepShape(Shape):
    """A step."""

    packet: Line
    verdict: Literal["NEXT", "DROP", "PASS", "TX", "REDIRECT", "TO"]
    at: str | int | None = None
    m: dict[str, Any] = {}
    reason: str = ""
    outcome: str = ""
    port: str = ""
    then: dict[str, Any] = {}
    packet_after: Line | None = None


class CaseShape(Shape):
    """A case."""

    case: Line
    params: dict[str, Any] = {}
    steps: Annotated[list[StepShape], Field(min_length=1)]
    tables: dict[str, dict[str, Any]] = {}
    testbed: dict[str, TestbedShape] = {}


class File(Shape):
    """The whole file, as `cases:` so that it has a name for errors."""

    cases: Annotated[list[CaseShape], Field(min_length=1)]


def read(folder: Path, mnf: Mnf) -> tuple[Case, ...]:
    """The cases of the mNF in `folder`. Raises SpecErrors."""
    problems = Problems()
    tree = yaml.load(folder / "cases.yaml", problems)
    checked = shape.check(File, Node({"cases": tree}, tree.where), problems) if tree else None
    problems.raise_any()
    assert checked is not None
    file, node = checked
    cases = tuple(_case(one, node.value["cases"].value[k], mnf, problems) for k, one in enumerate(file.cases))
    problems.raise_any()
    return cases


def _case(case: CaseShape, node: Node, mnf: Mnf, problems: Problems) -> Case:
    given = node.get("params") or Node({}, node.where)
    keys = {t.entries: frozenset(t.key) for t in mnf.tables if t.kind == "acl" and isinstance(t.key, tuple)}
    arguments = template.read_arguments(f"mnf '{mnf.name}'", mnf.params, given, "", problems, keys)
    steps: list[Step] = []
    for k, step in enumerate(case.steps):
        steps.append(_step(step, node.value["steps"].value[k], mnf, steps[-1].at if steps else 0, problems))
    known = [table.name for table in mnf.tables]
    for name in case.tables:
        if name not in known:
            problems.add(f"no table {quote(name)}", node.key_at("tables", name), meant(name, known, "tables"))
    return Case(
        name=case.case,
        arguments=arguments,
        steps=tuple(steps),
        tables=case.tables,
        testbed=deployment.read_testbed(case.testbed, node, [port.name for port in PORTS], problems),
        where=node.where,
    )


def _step(step: StepShape, node: Node, mnf: Mnf, before: int, problems: Problems) -> Step:
    at = before
    if step.at is not None:
        at = _typed("duration", node.value["at"], problems) or 0
    details = {"DROP": step.reason, "TO": step.outcome, "REDIRECT": step.port}
    known: Mapping[str, list[str]] = {"DROP": list(mnf.reasons), "TO": list(mnf.outcomes), "REDIRECT": [port.name for port in PORTS]}
    detail = details.get(step.verdict, "")
    if step.verdict in details and detail not in known[step.verdict]:
        word = {"DROP": "reason", "TO": "outcome", "REDIRECT": "port"}[step.verdict]
        problems.add(f"{step.verdict} with {word} {quote(detail)}", node.at(word), meant(detail, known[step.verdict], f"{word}s"))
    packet = _packet(step.packet, node.at("packet"), problems)
    after = packet if step.packet_after == "same" else None
    if step.packet_after is not None and after is None:
        after = _packet(step.packet_after, node.at("packet_after"), problems)
    settable = {name: kind for name, kind in _metadata(mnf).items() if name == _DIR or (name in fields().metadata and not _parsed(name))}
    return Step(
        at=at,
        packet=packet,
        given=_values(node.get("m"), settable, mnf, problems),
        verdict=step.verdict,
        detail=detail,
        then=_values(node.get("then"), _metadata(mnf), mnf, problems),
        after=after,
        where=node.where,
    )


def _packet(text: str, where: Where, problems: Problems) -> bytes:
    try:
        return packets.build(text)
    except SpecError as error:
        problems.add(error.what, where, error.cure)
        return b""


def _parsed(name: str) -> bool:
    return fields().metadata[name].by_parse


def _metadata(mnf: Mnf) -> dict[str, str]:
    """Field -> type of the metadata that a case may name: the core's, and the mNF's own."""
    core = {name: _TYPES.get(field.c, field.c) for name, field in fields().metadata.items()}
    return core | {f"{mnf.name}.{name}": kind for name, kind in mnf.metadata.items()}


def _values(node: Node | None, known: Mapping[str, str], mnf: Mnf, problems: Problems) -> dict[str, Any]:
    """Metadata by name, `m.class`, `class` or `own.score`, as canonical values."""
    result = {}
    for key, item in node.items() if node else ():
        name = key.removeprefix("m.")
        name = f"{mnf.name}.{name[4:]}" if name.startswith("own.") else name
        if name not in known:
            problems.add(f"no metadata {quote(key)}", node.keys[key] if node else item.where, meant(name, known, "fields"))
        else:
            result[name] = _typed(known[name], item, problems)
    return result


def _typed(kind: str, node: Node, problems: Problems) -> Any:
    try:
        return type_of(kind).parse(node.plain())
    except ValueError as error:
        problems.add(f"{quote(node.plain())}", node.where, f"wanted {error}")
        return None
