"""The graph of stages, and how it is cut into programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ebpfnf.model.files import Deployment, Mnf


@dataclass(frozen=True, slots=True)
class Stage:
    """An mNF in an instance: the owner of state and configuration. `id` is `<instance>.<node>`, `<instance>.<use>.<node>` inside a use."""

    id: str
    instance: str
    node: str
    mnf: Mnf
    config: Mapping[str, Any]  # parameter -> typed value
    lossy: bool = False  # it may miss packets


@dataclass(frozen=True, slots=True)
class Position:
    """A stage at its place in one chain. The same stage may stand in several chains.

    The index is the place in the unoptimised graph, and stays: an optimised graph has fewer positions, in another order.
    """

    index: int
    chain: str
    stage: str
    vnf_index: int  # which element of the chain's path, counted as in Chain.path_where
    branch: str = ""  # the class that it stands in, `<class>` or `<class>.<inner class>`; empty: all packets of the chain come by


@dataclass(frozen=True, slots=True)
class Link:
    """`source` by `outcome` goes to `target`, a position's index, or one of EXIT, DROPPED, PASSED."""

    source: int
    outcome: str  # NEXT or a declared outcome
    target: int
    default: bool = False  # no link was written: the manifest's default was taken


EXIT = -1  # the chain's `then`
DROPPED = -2  # an outcome's default
PASSED = -3


@dataclass(frozen=True, slots=True)
class Remembered:
    """Positions of a chain whose outcomes and metadata follow from the fields of `key`, as received, and from operators' tables."""

    chain: str
    key: tuple[str, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """What the chains expand to. Positions are in topological order, links go forward only.

    An optimised graph remembers the one that it came from: that says what the deployment means, what is counted and for whom.
    Of a run of positions beside the path the first stays, as the place where packets are copied for all of them.
    """

    deployment: Deployment
    stages: tuple[Stage, ...]
    positions: tuple[Position, ...]
    links: tuple[Link, ...]
    entries: Mapping[str, int]  # chain -> index of its first position, or EXIT
    unoptimised: Graph | None = None
    remembered: tuple[Remembered, ...] = ()  # what the flow cache may know; at most one a chain
    beside: Mapping[int, tuple[Position, ...]] = field(default_factory=dict)  # the first of a run -> all of it

    @property
    def meaning(self) -> Graph:
        """The graph as the files say it."""
        return self.unoptimised or self


@dataclass(frozen=True, slots=True)
class Segments:
    """Which positions are fused into one program. Segment 0 is the entry: parse and classify.

    `groups[0]` holds the positions fused with the entry (maybe none). Every position is in one group.
    """

    groups: tuple[tuple[int, ...], ...]
