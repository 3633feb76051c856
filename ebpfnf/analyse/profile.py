"""Measures what mNFs and hops cost on this host, as `granularity: auto` and `plan` reckon with it.

Each mNF stands alone in a chain, with the configuration that it has in the deployment, and gets the deployment's `expect:`
packets; a chain of nothing is taken off. A hop's cost is what the whole deployment takes longer when it is cut into so many programs.
"""

from __future__ import annotations

import dataclasses
import platform
import statistics
from collections.abc import Iterator, Mapping

from ebpfnf import graph, packets, pipeline, spec
from ebpfnf.analyse.drive import Drive
from ebpfnf.errors import EbpfnfError
from ebpfnf.generate.costs import SHIPPED, Costs
from ebpfnf.generate.segment import segment
from ebpfnf.model import Bundle, Chain, Deployment, Graph, Instance, Segments, Stage, Vnf, VnfLink, VnfNode

_NOTHING = ""  # the chain of nothing
_PROGRAMS = (2, 4, 8, 16, 32)


def measure(deployment: Deployment) -> Costs:
    """The costs of all mNFs of a deployment; needs root. EbpfnfError where its `expect:` has no packet that a chain lets through."""
    frames = tuple(_frames(deployment))
    if not frames:
        cure = "add expect: lines of packets that go all the way"
        raise EbpfnfError(f"deployment '{deployment.name}' has no packet to measure with", cure=cure)
    expanded = pipeline.expand(deployment)
    stages = {stage.mnf.name: stage for stage in expanded.stages if stage.mnf.runs_in == "xdp"}
    bundles = {_NOTHING: _alone(deployment, None), **{name: _alone(deployment, stage) for name, stage in stages.items()}}
    with Drive(bundles, deployment.testbed) as drive:
        times = {name: [drive.time(name, frame, port) for frame, port in frames] for name in bundles}
        verified = dict(drive.verified)
    empty = statistics.mean(times[_NOTHING])
    return Costs(
        entry=empty,
        ns={name: max(0.0, statistics.mean(times[name]) - empty) for name in stages},
        verified={name: max(1, verified[name] - verified[_NOTHING]) for name in stages},
        hops=tuple(_hops(expanded, frames[0], deployment)) or SHIPPED.hops,
        host=f"{platform.node()}, Linux {platform.release()}",
    )


def _frames(deployment: Deployment) -> Iterator[tuple[bytes, str]]:
    """(frame, port) of each packet that is expected to leave by another port."""
    for each in deployment.expect:
        if each.verdict in ("REDIRECT", "TX"):
            yield packets.build(each.packet, each.where), each.on


def _alone(deployment: Deployment, stage: Stage | None) -> Bundle:
    """A deployment of this mNF and nothing else. It isn't checked: what the mNF reads nobody wrote, it is zero."""
    instances: tuple[Instance, ...] = ()
    if stage:
        outcomes = [*(["NEXT"] if "NEXT" in stage.mnf.verdicts else []), *(o for o, default in stage.mnf.outcomes.items() if not default)]
        links = tuple(VnfLink("only", outcome, "exit") for outcome in outcomes)
        nodes = (VnfNode("only", stage.mnf, stage.config),)
        instances = (Instance("only", Vnf("only", stage.mnf.summary, (), nodes, links, {"forward": "only", "reverse": "only"}), {}),)
    chains = tuple(Chain(f"by-{port.name}", port.name, "forward", {}, ("only",) if stage else (), "pass") for port in deployment.ports)
    alone = dataclasses.replace(
        deployment, name="profile", instances=instances, chains=chains, expect=(), optimise=False, place=""
    )
    expanded = graph.expand(alone, spec.router())
    return pipeline.assemble(expanded, segment(expanded, "chain"))


def _hops(expanded: Graph, frame: tuple[bytes, str], deployment: Deployment) -> Iterator[tuple[int, float]]:
    """(programs, ns of a hop) of the first chain that the frame takes, cut into equal pieces."""
    chain = next(c.name for c in deployment.chains if c.on == frame[1])
    own = [p.index for p in expanded.positions if p.chain == chain]
    rest = tuple(p.index for p in expanded.positions if p.chain != chain)
    cuts: dict[str, Segments] = {"1": Segments(((*own, *rest),))}
    for programs in (n for n in _PROGRAMS if n <= len(own)):
        size = -(-len(own) // programs)
        pieces = [tuple(own[k : k + size]) for k in range(0, len(own), size)]
        cuts[str(len(pieces))] = Segments(((*pieces[0], *rest), *pieces[1:]))
    bundles: Mapping[str, Bundle] = {name: pipeline.assemble(expanded, each) for name, each in cuts.items()}
    with Drive(bundles, deployment.testbed) as drive:
        times = {int(name): drive.time(name, *frame) for name in bundles}
    most = 0.0
    for programs in sorted(times):
        if programs > 1:
            most = max(most, 0.5, (times[programs] - times[1]) / (programs - 1))  # noise must not make more programs cheaper
            yield programs, most
