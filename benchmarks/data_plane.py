"""Programs against each other in memory: what a packet costs, without cables. Every arm's outputs are compared before it is timed."""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Sequence

from benchmarks import baselines, chains
from benchmarks.frames import Mix
from benchmarks.measure import ROUNDS, Figure, figure, ratio
from benchmarks.memory import Memory
from ebpfnf import pipeline, spec
from ebpfnf.analyse import cost, profile
from ebpfnf.model import Bundle, Deployment, Expectation, Segments

_LIGHT = """\
mnf: light
summary: A few instructions and a field.
reads: [m.light.seen, ip.proto]
writes: [m.light.seen]
verdicts: [NEXT]
metadata: {seen: u32}
"""
_LIGHT_BODY = "MNF(struct pkt *pkt)\n{\n\tpkt->m.light.seen = pkt->m.light.seen * 31 + pkt->flow.proto;\n\treturn NEXT;\n}\n"


def bench4() -> list[Figure]:
    """Fused on kernel maps and on direct tables against one function written by hand on the same kernel maps."""
    kernel = chains.build(chains.bench4())
    direct = chains.build(chains.bench4(tables="direct"))
    hand, first = (baselines.compiled("bench4.c", ("bench4",), kernel, *more)[0] for more in ((), ("SESSIONS_FIRST",)))
    same = baselines.compiled("bench4.c", ("bench4",), kernel, "SAME_AGAIN")[0]
    arms = {"by hand": (hand, "fused"), "by hand, again": (same, "fused"), "by hand, sessions first": (first, "fused")}
    found: list[Figure] = []
    with Memory({"fused": kernel, "direct": direct}, arms) as rig:
        for words, mix in {"IPv4, 1k flows": Mix(), "IPv4, 1 flow": Mix(flows=1), "IPv6, 1k flows": Mix(family=6)}.items():
            samples = _compared(rig, mix, ["fused", "direct", *arms])
            found += [figure(f"{arm}, {words}", times, "ns") for arm, times in samples.items()]
            found.append(_ratio(f"A/A: by hand / by hand, {words}", samples, "by hand, again", "by hand"))
            found.append(_ratio(f"fused / by hand, {words}", samples, "fused", "by hand", 1.02))
            found.append(_ratio(f"direct / by hand, {words}", samples, "direct", "by hand", 0.25))
    return found


def granularity() -> list[Figure]:
    """The same chain as one program, one a VNF, one an mNF, and as `auto` cuts it."""
    levels = ("chain", "auto", "vnf", "mnf")
    bundles = {level: chains.build(chains.bench4(granularity=level, rules=4)) for level in levels}
    with Memory(bundles) as rig:
        samples = _compared(rig, Mix(), list(levels))
    found = [figure(f"{level}, {len(bundles[level].programs)} programs", samples[level], "ns") for level in levels]
    return [*found, *(_ratio(f"{level} / chain", samples, level, "chain") for level in levels[1:])]


def segments() -> list[Figure]:
    """`auto` against the best of all cuts of eight mNFs that are tried out."""
    deployment = chains.bench4(rules=4, granularity="auto")
    graph, certificate = pipeline.shorten(pipeline.expand(deployment), "auto")
    order = [p.index for p in graph.positions]
    bundles = {"auto": pipeline.build(deployment)}
    for marks in range(1 << len(order)):
        groups: list[list[int]] = [[]]
        for k, index in enumerate(order):
            if marks >> k & 1:
                groups.append([])
            groups[-1].append(index)
        if len(groups) <= 2:  # more hops are dearer still, as `granularity` shows
            bundles[f"cut {marks}"] = pipeline.assemble(graph, Segments(tuple(map(tuple, groups))), certificate)
    with Memory(bundles) as rig:
        samples = _compared(rig, Mix(), list(bundles), rounds=min(3, ROUNDS))
    best = min((name for name in samples if name != "auto"), key=lambda name: statistics.median(samples[name]))
    return [figure("auto", samples["auto"], "ns"), figure(f"best of {len(bundles) - 1} cuts", samples[best], "ns"),
            _ratio("auto / best", samples, "auto", best, 1.05)]  # fmt: skip


def light_mnfs() -> list[Figure]:
    """What one more small mNF costs, fused."""
    found = []
    bundles = {str(n): _light(n) for n in (1, 2, 4, 8, 16, 32)}
    with Memory(bundles) as rig:
        samples = _compared(rig, Mix(), list(bundles))
    for name, times in samples.items():
        found.append(figure(f"{name} light mNFs", times, "ns"))
    each = [(many - one) / 31 for many, one in zip(samples["32"], samples["1"], strict=True)]
    return [*found, figure("each more", each, "ns", 1.0)]


def acl_scale() -> list[Figure]:
    """Rules of which the last one fits."""
    return _scale("rules", (10, 100, 1000), lambda n, tables: chains.bench4(rules=n, tables=tables, name=f"acl{n}{tables}"))


def lpm_scale() -> list[Figure]:
    """Prefixes in the table of subnets."""
    return _scale("prefixes", (10, 100, 250), lambda n, tables: chains.bench4(rules=2, prefixes=n, tables=tables, name=f"lpm{n}{tables}"))


def flows_scale() -> list[Figure]:
    """Flows at a time."""
    bundles = {tables: chains.build(chains.bench4(rules=2, tables=tables, name=f"flows-{tables}")) for tables in ("kernel", "direct")}
    found = []
    with Memory(bundles) as rig:
        for flows in (1, 1000, 10_000):
            for arm, times in _compared(rig, Mix(flows=flows), list(bundles)).items():
                found.append(figure(f"{flows:,} flows, {arm} tables", times, "ns"))
    return found


def compile_cost() -> list[Figure]:
    """From chain.yaml to a bundle without the cache, and through the verifier."""
    os.environ["EBPFNF_CACHE"] = "off"
    try:
        built, loaded = [], []
        for _ in range(min(3, ROUNDS)):
            began = time.perf_counter()
            bundle = pipeline.build(spec.load(chains.DC_EDGE))
            built.append(time.perf_counter() - began)
            began = time.perf_counter()
            with Memory({"": bundle}):
                loaded.append(time.perf_counter() - began)
    finally:
        del os.environ["EBPFNF_CACHE"]
    return [figure("dc-edge, compiled", built, "s"), figure("dc-edge, verified, filled, loaded", loaded, "s")]


def predictions() -> list[Figure]:
    """Whole chains as profiles predict them: how far off, in percent of what was measured. The profile knows mNFs, not chains."""
    deployment = dataclasses.replace(chains.bench4(rules=4), expect=())
    costs = profile.measure(_with_packets(deployment))
    paths: Sequence[tuple[str, ...]] = (
        ("acl",), ("stats",), ("lb",), ("acl", "stats"), ("stats", "lb"), ("acl", "lb"), ("acl", "stats", "lb"),
    )  # fmt: skip
    bundles: dict[str, Bundle] = {}
    for path in paths:
        chain = dataclasses.replace(deployment.chains[0], path=path, path_where=())
        bundles["-".join(path)] = pipeline.build(dataclasses.replace(deployment, chains=(chain,), optimise=False))
    with Memory(bundles) as rig:
        rig.use(Mix(flows=1))
        samples = rig.compare(list(bundles), min(3, ROUNDS))
    off = []
    for name, bundle in bundles.items():
        measured = statistics.median(samples[name])
        off.append(abs(cost.expected(bundle, costs)["inbound"] - measured) / measured * 100)
    off.sort()
    p90 = off[-1 - len(off) // 10]
    return [figure("off by, median chain", [statistics.median(off)], "%", 10.0), figure("off by, 90th percentile", [p90], "%", 25.0)]


BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    "bench4": bench4, "granularity": granularity, "segments": segments, "light-mnfs": light_mnfs, "acl-scale": acl_scale,
    "lpm-scale": lpm_scale, "flows-scale": flows_scale, "compile-cost": compile_cost, "predictions": predictions,
}  # fmt: skip


def _compared(rig: Memory, mix: Mix, arms: list[str], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Times of arms that make the same of the same packets; AssertionError where they don't."""
    rig.verify(mix, arms)
    return rig.compare(arms, rounds)


def _ratio(name: str, samples: dict[str, list[float]], over: str, under: str, goal: float | None = None) -> Figure:
    return ratio(name, samples[over], samples[under], goal)


def _scale(what: str, sizes: Sequence[int], make: Callable[[int, str], Deployment]) -> list[Figure]:
    found = []
    for size in sizes:
        bundles = {tables: chains.build(make(size, tables)) for tables in ("kernel", "direct")}
        with Memory(bundles) as rig:
            for arm, times in _compared(rig, Mix(), list(bundles), min(5, ROUNDS)).items():
                found.append(figure(f"{size:,} {what}, {arm} tables", times, "ns"))
    return found


def _light(count: int) -> Bundle:
    nodes = "\n".join(f"  n{k}: {{mnf: light}}" for k in range(count))
    template = f"vnf: lights\nsummary: Small mNFs.\nmnfs:\n{nodes}\n"
    text = (
        f"ebpfnf: 1\ndeployment: light-{count}\noptimise: false\nports:\n  wan: {{interface: eth0}}\n  lan: {{interface: eth1}}\n"
        'vnfs:\n  all: {vnf: lights}\nchains:\n  c: {on: wan, match: {}, path: [all], then: "out: lan"}\n'
    )
    return chains.build(chains.load(text, {"lights": template}, {"light": (_LIGHT, _LIGHT_BODY)}))


def _with_packets(deployment: Deployment) -> Deployment:
    packet = "tcp 10.9.0.0:16384 > 198.51.100.7:80 flags PA payload 'xxxxxxxx'"
    return dataclasses.replace(deployment, expect=(Expectation("wan", packet, "REDIRECT"),))
