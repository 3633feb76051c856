"""Measures what mNFs and hops cost on this host, as `granularity: auto` and `plan` reckon with it.

An mNF costs what a chain takes longer with it than without it and what stands behind it: so it gets the packets and metadata
that it gets in the deployment, of which the `expect:` packets are used. A hop's cost is what a whole chain takes longer when it is cut
into so many programs.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from ebpfnf import packets, pipeline
from ebpfnf.analyse.drive import Drive
from ebpfnf.errors import EbpfnfError
from ebpfnf.generate.costs import SHIPPED, Costs
from ebpfnf.generate.segment import segment
from ebpfnf.model import EXIT, Bundle, Chain, Deployment, Graph, Position, Segments

_PROGRAMS = (2, 3, 4, 8, 16, 32)
_ROUNDS = 3


def measure(deployment: Deployment) -> Costs:
    """The costs of all mNFs of a deployment; needs root. EbpfnfError where its `expect:` has no packet that a chain lets through."""
    frames = tuple(_frames(deployment))
    if not frames:
        cure = "add expect: lines of packets that go all the way"
        raise EbpfnfError(f"deployment '{deployment.name}' has no packet to measure with", cure=cure)
    expanded = pipeline.expand(deployment)
    mnf = {stage.id: stage.mnf.name for stage in expanded.stages}
    ns: dict[str, list[float]] = {}
    verified: dict[str, list[int]] = {}
    entries = []
    for chain in deployment.chains:
        own = [p for p in expanded.positions if p.chain == chain.name]
        seen = [frame for frame in frames if frame[1] == chain.on] or list(frames[:1])
        bundles = {str(k): _beginning(expanded, chain, own[:k]) for k in range(len(own) + 1)}
        with Drive(bundles, deployment.testbed) as drive:
            times = list(accumulate(_times(drive, bundles, seen), max))  # noise must not make more mNFs cheaper
            sizes = list(drive.verified.values())
        entries.append(times[0])
        for k, position in enumerate(own):
            ns.setdefault(mnf[position.stage], []).append(times[k + 1] - times[k])
            verified.setdefault(mnf[position.stage], []).append(max(1, sizes[k + 1] - sizes[k]))
    return Costs(
        entry=statistics.mean(entries),
        ns={name: statistics.mean(found) for name, found in ns.items()},
        verified={name: max(found) for name, found in verified.items()},
        hops=tuple(_hops(expanded, frames, deployment)) or SHIPPED.hops,
        host=f"{platform.node()}, Linux {platform.release()}",
    )


def _times(drive: Drive, bundles: Mapping[str, Bundle], frames: Sequence[tuple[bytes, str]]) -> list[float]:
    """Ns of each bundle, the mean of these frames: the bundles take turns, so that what comes and goes hits all alike."""
    for _ in range(_ROUNDS):
        times = [statistics.mean(drive.time(name, *frame) for frame in frames) for name in bundles]
    return times  # the last round's: a time is the least of all until then


def _frames(deployment: Deployment) -> Iterator[tuple[bytes, str]]:
    """(frame, port) of each packet that is expected to leave by another port."""
    for each in deployment.expect:
        if each.verdict in ("REDIRECT", "TX"):
            yield packets.build(each.packet, each.where), each.on


def _beginning(expanded: Graph, chain: Chain, positions: Sequence[Position]) -> Bundle:
    """A deployment of the first mNFs of this chain; behind them packets leave as the chain's do. Unoptimised: all are there."""
    kept = {p.index for p in positions}
    links = tuple(k if k.target in kept or k.target < 0 else replace(k, target=EXIT) for k in expanded.links if k.source in kept)
    then = chain.then
    if then == "route":  # what finds the port is an mNF of its own
        then = next((f"out:{port.name}" for port in expanded.deployment.ports if port.name != chain.on), "reflect")
    deployment = replace(expanded.deployment, name="profile", chains=(replace(chain, then=then),), expect=(), optimise=False, place="")
    stages = tuple(stage for stage in expanded.stages if any(p.stage == stage.id for p in positions))
    entry = positions[0].index if positions else EXIT
    short = replace(expanded, deployment=deployment, stages=stages, positions=tuple(positions), links=links, entries={chain.name: entry})
    return pipeline.assemble(short, segment(short, "chain"))


def _hops(expanded: Graph, frames: Sequence[tuple[bytes, str]], deployment: Deployment) -> Iterator[tuple[int, float]]:
    """(programs, ns of a hop, on average) of the first chain that the first frame takes, cut into equal pieces."""
    chain = next(c.name for c in deployment.chains if c.on == frames[0][1])
    own = [p.index for p in expanded.positions if p.chain == chain]
    rest = tuple(p.index for p in expanded.positions if p.chain != chain)
    cuts: dict[str, Segments] = {"1": Segments(((*own, *rest),))}
    for programs in (n for n in (*_PROGRAMS, len(own)) if n <= len(own)):
        size = -(-len(own) // programs)
        pieces = [tuple(own[k : k + size]) for k in range(0, len(own), size)]
        cuts[str(len(pieces))] = Segments(((*pieces[0], *rest), *pieces[1:]))
    bundles: Mapping[str, Bundle] = {name: pipeline.assemble(expanded, each) for name, each in cuts.items()}
    with Drive(bundles, deployment.testbed) as drive:
        times = dict(zip(map(int, bundles), _times(drive, bundles, [f for f in frames if f[1] == frames[0][1]]), strict=True))
    most = 0.0
    for programs in sorted(times):
        if programs > 1:
            most = max(most + 0.5, times[programs] - times[1])  # noise must not make more programs cheaper
            yield programs, most / (programs - 1)
