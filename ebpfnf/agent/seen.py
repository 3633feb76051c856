"""What runs on a host, as values: read by `observe` from pins, links and interfaces, compared by `plan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ebpfnf.agent.manifest import Manifest
from ebpfnf.agent.netlink import Interface
from ebpfnf.model import Vm

if TYPE_CHECKING:
    from ebpfnf.vm.lifecycle import Seen as Machine


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over generations: counters by name, packets that entered a stage by its id."""

    counters: Mapping[str, int] = field(default_factory=dict)
    stages: Mapping[str, int] = field(default_factory=dict)

    def plus(self, other: Totals) -> Totals:
        """Both together."""
        return Totals(_sum(self.counters, other.counters), _sum(self.stages, other.stages))


def _sum(one: Mapping[str, int], two: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + two.get(name, 0) for name in {**one, **two}}


@dataclass(frozen=True, slots=True)
class Generation:
    """One load of a bundle. Without a manifest it is incomplete: something removed its pins."""

    number: int
    manifest: Manifest | None = None
    counts: tuple[int, ...] = ()  # by index of the manifest's counters, summed over CPUs

    @property
    def complete(self) -> bool:
        return self.manifest is not None


@dataclass(frozen=True, slots=True)
class PortSeen:
    """The pins of a port. The root program tells its number and its `on_fault` by its name."""

    name: str
    number: int = 0  # 0: no usable root program
    on_fault: str = ""
    program: int = 0  # id of the program that the link runs, 0 without a link
    ifindex: int = 0  # 0: not attached


@dataclass(frozen=True, slots=True)
class Observed:
    """A deployment on this host; all empty where it does not run."""

    deployment: str
    exists: bool = False
    generations: tuple[Generation, ...] = ()  # by number
    live: int = 0  # generation in root[0], 0: none of those here
    occupied: bool = False  # whether root[0] holds a program at all
    ports: tuple[PortSeen, ...] = ()
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    owners: Mapping[int, str] = field(default_factory=dict)  # XDP program on an interface, not ours -> who that is, in words
    state: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()  # tmp-gen-* of writers that were cut off
    folded: int = 0  # highest number of a generation whose counts went into `retired`
    retired: Totals = field(default_factory=Totals)
    edited: Mapping[str, str] = field(default_factory=dict)  # table -> how its live entries differ from the deployed file's
    fills: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # table that packets fill -> created, full, ...
    missed: int = 0  # packets that found no live generation
    strays: int = 0  # frames from VMs whose cookies named no generation
    machines: Mapping[str, Machine] = field(default_factory=dict)  # VMs that are here, by name
    needs: Mapping[int, tuple[Vm, ...]] = field(default_factory=dict)  # generation -> its stages in VMs, without what they boot
    flows: Mapping[str, int] = field(default_factory=dict)  # VM -> flows that it knows
    images: Mapping[str, str] = field(default_factory=dict)  # machines of functions that are here -> running, gone, ...
    serving: Mapping[int, frozenset[str]] = field(default_factory=dict)  # generation -> functions that its packets go to
    journal: str = ""  # what a writer was doing when it was cut off

    def generation(self, number: int) -> Generation | None:
        """The generation of that number."""
        return next((g for g in self.generations if g.number == number), None)

    @property
    def running(self) -> Generation | None:
        """The live generation, when it can be read."""
        return next((g for g in self.generations if g.number == self.live and g.complete), None)

    @property
    def previous(self) -> Generation | None:
        """What a rollback would return to."""
        older = [g for g in self.generations if g.number < self.live and g.complete]
        return older[-1] if self.live and older else None

    @property
    def next_number(self) -> int:
        """A number that no generation had before."""
        numbers = [g.number for g in self.generations] + [int(name.rsplit("-", 1)[-1]) for name in self.leftovers]
        return max([self.folded, *numbers]) + 1
