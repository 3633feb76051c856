"""What a generation tells about itself, pinned beside it: all that `status` needs besides the counters."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ebpfnf.bundle import from_json, to_json
from ebpfnf.model import Bundle, Counter, Function, Port, Scope, SlotLayout, Table


@dataclass(frozen=True, slots=True)
class Manifest:
    """The readable part of a bundle, and when it was loaded as what."""

    deployment: str
    generation: int
    digest: str
    applied: int  # seconds since the epoch, for people
    since_boot: int  # seconds, for the uptime
    ports: tuple[Port, ...]
    counters: tuple[Counter, ...]
    slot: SlotLayout
    tables: tuple[Table, ...]  # without entries: these are pinned by themselves
    stages: tuple[Mapping[str, Any], ...]  # without config
    positions: tuple[Mapping[str, Any], ...]
    links: tuple[Mapping[str, Any], ...]
    chains: tuple[Mapping[str, Any], ...]
    state: tuple[str, ...]  # names of the pins under state/ that this generation uses
    bound: Mapping[str, tuple[int, int]]  # port -> ifindex and MTU of its interface, as its constants say
    pins: Mapping[str, str]  # map behind a table -> pin: state/<name>, or a name among the generation's tables
    functions: tuple[Function, ...] = ()


def of_bundle(bundle: Bundle, generation: int, bound: Mapping[str, tuple[int, int]], pins: Mapping[str, str]) -> Manifest:
    """The manifest of `bundle`, loaded now."""
    return Manifest(
        deployment=bundle.deployment,
        generation=generation,
        digest=bundle.digest,
        applied=int(time.time()),
        since_boot=uptime(),
        ports=tuple(dataclasses.replace(port, where=None) for port in bundle.ports),
        counters=bundle.counters,
        slot=bundle.slot,
        tables=tuple(dataclasses.replace(table, entries=()) for table in bundle.tables),
        stages=tuple({k: v for k, v in stage.items() if k != "config"} for stage in bundle.stages),
        positions=bundle.positions,
        links=bundle.links,
        chains=bundle.chains,
        state=tuple(sorted({spec.pin for spec in bundle.maps if spec.scope is Scope.STATE})),
        bound=bound,
        functions=bundle.functions,
        pins=pins,
    )


def encode(manifest: Manifest) -> Any:
    """As JSON's types."""
    return to_json(manifest)


def decode(data: Any) -> Manifest | None:
    """None where `data` is no manifest: written by another version, or damaged."""
    try:
        manifest: Manifest = from_json(Manifest, data)
    except (ValueError, KeyError, TypeError):
        return None
    return manifest


def uptime() -> int:
    """Whole seconds since the machine started, suspended time included."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME))
