"""What the optimiser made of a deployment, for a person: blocks before and after, what is shared, what moved, what could not and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebpfnf.cli import svg, text
from ebpfnf.model import BESIDE

if TYPE_CHECKING:
    from ebpfnf.model import Graph, Position, Segments
    from ebpfnf.optimise import Certificate, Step


def explained(before: Graph, after: Graph, certificate: Certificate, segments: Segments) -> dict[str, Any]:
    """All of it as JSON's types; positions are called `<instance>.<node>`."""
    place = {p.index: p for p in before.positions}

    def told(steps: Sequence[Step], kind: str) -> list[dict[str, Any]]:
        return [{"chain": place[s.of[0]].chain, "stages": [place[i].stage for i in s.of], "why": s.why} for s in steps if s.kind == kind]

    programs = [(f"seg_{number}", group) for number, group in enumerate(segments.groups)]
    if after.beside:
        programs.append((BESIDE, tuple(p.index for run in after.beside.values() for p in run)))
    return {
        "deployment": before.deployment.name,
        "optimised": before.deployment.optimise,
        "chains": [_chain(chain.name, before, after, certificate) for chain in before.deployment.chains],
        "shared": told(certificate.steps, "merge"),
        "dropped": told(certificate.steps, "drop"),
        "moved": told(certificate.steps, "swap"),
        "unordered": told(certificate.steps, "unordered"),
        "beside": told(certificate.steps, "beside"),
        "flow_cache": before.deployment.flow_cache,
        "remembered": told(certificate.steps, "remember"),
        "refused": [{"step": kind, **row} for kind in ("merge", "swap", "beside", "remember") for row in told(certificate.refused, kind)],
        "programs": [
            {"name": name, "stages": [f"{place[i].chain}/{place[i].stage}" for i in group if name == BESIDE or i not in after.beside]}
            for name, group in programs
        ],
    }


def _chain(name: str, before: Graph, after: Graph, certificate: Certificate) -> dict[str, Any]:
    """A chain as monoliths, each with all that it needs, and as what is left of them."""
    stages = {stage.id: stage for stage in before.stages}
    groups = {index: number for number, step in enumerate(s for s in certificate.steps if s.kind == "unordered") for index in step.of}

    def block(index: int, stage: str) -> dict[str, Any]:
        own = stages[stage]
        may_end = sorted({"DROP", "PASS", "TX", "REDIRECT"} & set(own.mnf.verdicts))
        names = {"index": index, "stage": stage, "instance": own.instance, "node": own.node, "mnf": own.mnf.name}
        return {**names, "may": may_end, "vm": own.mnf.runs_in != "xdp"}

    def writes(stage: str) -> bool:
        return any(not field.startswith("m.") for field in stages[stage].mnf.writes)

    def around(first: bool, members: Sequence[Position]) -> dict[str, list[str]]:
        """What the framework does before and behind these positions; the chain is chosen once."""
        tail = ["checksums"] if any(writes(p.stage) for p in members) else []
        return {"head": ["receive", "parse", *(["classify"] if first else [])], "tail": [*tail, "send"]}

    every = {p.index for p in before.positions if p.chain == name}
    mine = [p for p in before.positions if p.index in every and stages[p.stage].mnf.folder]  # where a path parts is no VNF
    vnfs: list[dict[str, Any]] = []
    for instance, members in ((key, list(found)) for key, found in groupby(mine, key=lambda p: stages[p.stage].instance)):
        vnfs.append({"instance": instance, "blocks": [block(p.index, p.stage) for p in members], **around(not vnfs, members)})
    left = [p for p in after.positions if p.chain == name]
    whole = around(True, left)
    return {
        "name": name,
        "then": next(chain.then for chain in before.deployment.chains if chain.name == name),
        "before": {"blocks": sum(len(v["blocks"]) + len(v["head"]) + len(v["tail"]) for v in vnfs), "vnfs": vnfs},
        "after": {
            "blocks": len(left) + len(whole["head"]) + len(whole["tail"]),
            **whole,
            "stages": [block(p.index, p.stage) | {"group": groups.get(p.index, -1), "copied": p.index in after.beside} for p in left],
        },
        "links": {
            when: [[k.source, k.outcome, k.target] for k in graph.links if k.source in every]
            for when, graph in (("before", before), ("after", after))
        },
    }


def explain(file: Path, granularity: str) -> dict[str, Any]:
    """The explanation of a chain.yaml."""
    from ebpfnf import pipeline, spec
    from ebpfnf.generate import costs, segment
    from ebpfnf.generate.segment import expected

    before = pipeline.expand(spec.load(file))
    level = granularity or before.deployment.granularity
    after, certificate = pipeline.shorten(before, level)
    segments = segment(after, level)
    found, known = explained(before, after, certificate, segments), costs.known()
    for chain in found["chains"]:
        mnfs = [costs.VM if block["vm"] else block["mnf"] for vnf in chain["before"]["vnfs"] for block in vnf["blocks"]]
        chain["before"]["ns"] = known.entry * max(1, len(chain["before"]["vnfs"])) + sum(map(known.of, mnfs))
        chain["after"]["ns"] = expected(after, segments, known)[chain["name"]]
    return {**found, "costs": known.host or "as shipped"}


def show(file: Path, granularity: str, folder: Path | None, as_json: bool) -> None:
    """The explanation of a chain.yaml, in words or as JSON; drawings of its chains into `folder`."""
    found = explain(file, granularity)
    if as_json:
        text.as_json(found)
    else:
        draw(found)
    for path in svg.write(found, folder) if folder else ():
        text.note(f"drawn: {path}")


def draw(found: Mapping[str, Any]) -> None:
    """To the terminal."""
    console = text.console()
    for chain in found["chains"]:
        old, new = chain["before"], chain["after"]
        console.print(
            f"\n[bold]{chain['name']}[/]: {old['blocks']} blocks before, {new['blocks']} after;"
            f" about {old['ns']:.0f} ns a packet before, {new['ns']:.0f} after [dim](costs: {found['costs']})[/]"
        )
        for number, vnf in enumerate(chain["before"]["vnfs"]):
            middle = [_bold(b, "node") for b in vnf["blocks"]]
            text.hanging(f"  {'before' if not number else '':<7} {vnf['instance']:<9} ", _row(vnf, middle))
        text.hanging(f"  {'after':<7} {'':<9} ", _row(chain["after"], _after(chain["after"]["stages"])))
    text.line("")
    most = max((len(chain["before"]["vnfs"]) for chain in found["chains"]), default=0)
    if most > 1:
        text.line(f"parsed once and checksums mended once, where up to {most} VNFs by themselves would each do it")
    if any(stage["vm"] for chain in found["chains"] for stage in chain["after"]["stages"]):
        text.line("what comes back from VMs is parsed anew, and may be another packet; what VMs do is in none of the figures")
    _rows("shared", [(r["chain"], f"{r['stages'][0]} takes the result of {r['stages'][1]}", r["why"]) for r in found["shared"]])
    _rows("taken out", [(r["chain"], r["stages"][0], r["why"]) for r in found["dropped"]])
    _rows("moved", [(r["chain"], f"{r['stages'][1]} before {r['stages'][0]}", r["why"]) for r in found["moved"]])
    _rows("in any order", [(r["chain"], " ∥ ".join(r["stages"]), r["why"]) for r in found["unordered"]])
    _rows("remembered", [(r["chain"], ", ".join(r["stages"]), r["why"]) for r in found["remembered"]])
    _rows("beside the path", [(r["chain"], ", ".join(r["stages"]), r["why"]) for r in found["beside"]])
    _rows("left, because", [(r["chain"], _left(r), r["why"]) for r in found["refused"]])
    text.table("programs", ("program", "holds"), [(p["name"], ", ".join(p["stages"]) or "parse, classify") for p in found["programs"]])
    if found["flow_cache"] and not any(found[kind] for kind in ("remembered", "refused")):
        text.note("nothing is remembered: with 'optimise: false' graphs are as they are written")
    if not found["optimised"]:
        text.note("the file says 'optimise: false': the graph is as it is written")


def _row(around: Mapping[str, Any], middle: Sequence[str]) -> str:
    head, tail = ([f"[dim]{name}[/]" for name in around[end]] for end in ("head", "tail"))
    return " → ".join([*head, *middle, *tail])


def _bold(block: Mapping[str, Any], name: str) -> str:
    return f"[bold]{block[name]}[/]" + (" [dim](VM)[/]" if block["vm"] else "")


def _after(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Stages in order; those without an order among them side by side."""
    runs = groupby(stages, key=lambda stage: (stage["group"], stage["index"] if stage["group"] < 0 else 0))
    return [" ∥ ".join("[dim]copy[/]" if stage["copied"] else _bold(stage, "stage") for stage in members) for _, members in runs]


def _left(row: Mapping[str, Any]) -> str:
    if row["step"] == "remember":
        return f"{row['stages'][0]} is not remembered"
    if row["step"] == "beside":
        return f"{row['stages'][0]} stays on the path"
    one, other = row["stages"]
    return f"{one} takes no result of {other}" if row["step"] == "merge" else f"{other} stays behind {one}"


def _rows(title: str, rows: Sequence[Sequence[str]]) -> None:
    if rows:
        text.table(title, ("chain", "what", "why"), rows)
