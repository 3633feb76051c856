"""The compiler, as one column: chain.yaml becomes a bundle."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from ebpfnf import bundle, compile, graph, optimise, spec
from ebpfnf.errors import EbpfnfError
from ebpfnf.generate import costs, generate, segment
from ebpfnf.model import Bundle, ChainPath, Deployment, Graph, Mnf, Parting, Program, Segments, Source, Vm, Vnf, VnfNode, VnfUse
from ebpfnf.optimise import Certificate


def build_file(path: Path, granularity: str = "") -> Bundle:
    """The bundle of this chain.yaml. `granularity` overrides the file's."""
    return build(spec.load(path), granularity)


def build(deployment: Deployment, granularity: str = "") -> Bundle:
    """The bundle of this deployment: a pure function, but for the compiler's cache."""
    expanded = expand(deployment)
    optimised, certificate = shorten(expanded, granularity or deployment.granularity)
    level = granularity or deployment.granularity
    segments = segment(optimised, level, costs.known() if level == "auto" else costs.SHIPPED)
    return assemble(optimised, segments, certificate)


def replace(deployment: Deployment, stage: str, mnf: Mnf) -> Deployment:
    """The deployment with another version of one stage's mNF; EbpfnfError when there is no such stage, or it is another mNF."""
    name, _, node = stage.partition(".")
    stages = {f"{i.name}.{place}": n.mnf for i in deployment.instances for place, n in i.vnf.mnfs()}
    if stage not in stages:
        raise EbpfnfError(f"no mNF '{stage}' in deployment '{deployment.name}'", cure="there are: " + ", ".join(stages))
    if stages[stage].name != mnf.name:
        raise EbpfnfError(
            f"'{stage}' is a '{stages[stage].name}', not a '{mnf.name}'", mnf.where, "swap takes another version of the same mNF"
        )
    instances = tuple(dataclasses.replace(i, vnf=_with(i.vnf, node, mnf)) if i.name == name else i for i in deployment.instances)
    return dataclasses.replace(deployment, instances=instances)


def _with(vnf: Vnf, node: str, mnf: Mnf) -> Vnf:
    """The template with another version of the mNF at `node`, which may be inside of a template that it uses."""
    own, _, inner = node.partition(".")

    def changed(each: VnfNode | VnfUse) -> VnfNode | VnfUse:
        if each.name != own:
            return each
        if isinstance(each, VnfUse):
            return dataclasses.replace(each, vnf=_with(each.vnf, inner, mnf))
        return dataclasses.replace(each, mnf=mnf)

    return dataclasses.replace(vnf, nodes=tuple(map(changed, vnf.nodes)))


def expand(deployment: Deployment) -> Graph:
    """The deployment's graph, checked."""
    expanded = graph.expand(deployment, spec.router())
    graph.check(expanded, spec.fields())
    return expanded


def shorten(expanded: Graph, granularity: str) -> tuple[Graph, Certificate]:
    """The graph that does the same with less, proved: CertificateError where it is not so."""
    optimised, certificate = optimise.optimise(expanded, spec.fields(), granularity if expanded.deployment.optimise else "off")
    optimise.check(expanded, certificate, optimised, spec.fields())
    return optimised, certificate


def assemble(shortened: Graph, segments: Segments, certificate: Certificate | None = None) -> Bundle:
    """The bundle of a graph in any segmentation."""
    source = generate(shortened, segments, spec.fields(), _bodies(shortened))
    programs = compile.compile_source(source)
    return bundle.sealed(_bundle(shortened, segments, source, programs, certificate))


def _bodies(expanded: Graph) -> dict[str, str]:
    return {stage.mnf.folder: Path(stage.mnf.folder, "mnf.c").read_text() for stage in expanded.stages if stage.mnf.has_body}


def _vms(expanded: Graph) -> tuple[Vm, ...]:
    """The stages that run in VMs, with their images and what their guests read at the start."""
    stages = [stage for stage in expanded.stages if stage.mnf.runs_in != "xdp"]
    if not stages:
        return ()
    from ebpfnf.vm import guest  # it wants gcc, which who has no VMs needs not

    return tuple(guest.machine(stage, number) for number, stage in enumerate(stages))


def _bundle(shortened: Graph, segments: Segments, source: Source, programs: tuple[Program, ...], certificate: Certificate | None) -> Bundle:
    """It tells the unoptimised graph, for that is what the counters mean, and with each position the program that does its work."""
    home = {index: k for k, group in enumerate(segments.groups) for index in group}
    aside = {position.index: home[first] for first, run in shortened.beside.items() for position in run}
    home |= dict.fromkeys(aside, len(programs) - 1)  # the program of those beside the path is the last
    served = certificate.served_by if certificate else {}
    expanded = shortened.meaning
    deployment = expanded.deployment
    return Bundle(
        deployment=deployment.name,
        ports=tuple(dataclasses.replace(port, where=None) for port in deployment.ports),
        programs=programs,
        maps=source.maps,
        tables=source.tables,
        counters=source.counters,
        slot=source.slot,
        const=source.const,
        stages=tuple(_stage(s.id, s.instance, s.node, s.mnf, s.config) for s in expanded.stages),
        positions=tuple(
            {
                "index": p.index, "chain": p.chain, "stage": p.stage, "vnf_index": p.vnf_index, "branch": p.branch,
                "segment": home.get(p.index, -1), "served_by": served.get(p.index, -1),
                "copied_in": (aside[p.index] if p.index in shortened.beside else -1) if p.index in aside else None,
            }
            for p in expanded.positions
        ),
        links=tuple({"source": k.source, "outcome": k.outcome, "target": k.target, "default": k.default} for k in expanded.links),
        chains=tuple(
            {
                "name": c.name, "on": c.on, "direction": c.direction, "path": _words(c.path), "then": c.then,
                "classes": _classes(c.path, f"chain.{c.name}"),
                "match": {name: list(values) for name, values in c.match.items()}, "entry": expanded.entries[c.name],
            }
            for c in deployment.chains
        ),
        authors={name: f"{Path(path).parent.name}/{Path(path).name}" for name, path in source.authors.items()},
        certificate=certificate.as_json() if certificate else {},
        vms=_vms(expanded),
        functions=tuple(dataclasses.replace(function, where=None) for function in deployment.functions),
    )  # fmt: skip


def _words(path: ChainPath) -> list[str]:
    """A path as words: instances, and the classes of a parting, `(web|voice)`."""
    return [f"({'|'.join(each.name for each in item.classes)})" if isinstance(item, Parting) else item for item in path]


def _classes(path: ChainPath, chain: str) -> list[dict[str, Any]]:
    """The classes by which a path parts, with the stage that parts it; those inside of others too."""
    found: list[dict[str, Any]] = []
    for parting in (item for item in path if isinstance(item, Parting)):
        for each in parting.classes:
            match = {key: list(values) for key, values in each.match.items()}
            found.append({"name": each.name, "stage": f"{chain}.{parting.name}", "match": match, "path": _words(each.path)})
            found += _classes(each.path, chain)
    return found


def _stage(identifier: str, instance: str, node: str, mnf: Mnf, config: Any) -> dict[str, Any]:
    """A stage in the bundle; the digest tells one version of an mNF from another."""
    digest = hashlib.sha256()
    for name in ("mnf.yaml", "mnf.c") if mnf.folder else ():
        digest.update(Path(mnf.folder, name).read_bytes())
    return {
        "id": identifier, "instance": instance, "node": node, "mnf": mnf.name, "summary": mnf.summary,
        "digest": digest.hexdigest()[:16], "config": dict(config),
    }  # fmt: skip
