"""The record of what was done to a graph: steps that can be replayed, and what was left for which reason."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ebpfnf.errors import CertificateError
from ebpfnf.model import Graph


@dataclass(frozen=True, slots=True)
class Step:
    """One step, by the indices of positions.

    merge (second, first): the second is gone, the first's result is its own    drop (index,): without effect, gone
    swap (first, second): the second now comes before the first                 unordered (...): neighbours that commute
    remember (...): positions of a chain that the flow cache may answer for
    beside (...): a straight run that gets copies, past which packets go
    """

    kind: str
    of: tuple[int, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """How the graph with digest `before` became the one with digest `after`."""

    before: str
    after: str
    steps: tuple[Step, ...] = ()
    refused: tuple[Step, ...] = ()  # what would have been worth doing, with what forbids it

    @property
    def served_by(self) -> Mapping[int, int]:
        """Positions that are gone -> who stands in for them."""
        return {step.of[0]: step.of[1] for step in self.steps if step.kind == "merge"}

    def as_json(self) -> dict[str, Any]:
        """As JSON's types."""
        data: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return data


def from_json(data: Mapping[str, Any]) -> Certificate:
    """The inverse of `as_json`; CertificateError where `data` is none."""
    try:
        certificate = Certificate(str(data["before"]), str(data["after"]), _steps(data["steps"]), _steps(data["refused"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CertificateError("not a certificate", cure="build the bundle again") from None
    return certificate


def _steps(data: Any) -> tuple[Step, ...]:
    return tuple(Step(str(step["kind"]), tuple(int(index) for index in step["of"]), str(step["why"])) for step in data)


def digest(graph: Graph) -> str:
    """sha256 over what a packet can notice of a graph's shape: order, places, links, entries, what is remembered."""
    shape = [
        [[p.index, p.chain, p.stage, p.vnf_index] for p in graph.positions],
        sorted([k.source, k.outcome, k.target] for k in graph.links),
        sorted(graph.entries.items()),
        [[r.chain, r.key, r.positions] for r in graph.remembered],
        sorted([first, [position.index for position in run]] for first, run in graph.beside.items()),
    ]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()
