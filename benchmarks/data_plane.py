"""Programs against each other in memory: what a packet costs, without cables. Every arm's outputs are compared before it is timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks import baselines, chains
from benchmarks.frames import Mix
from benchmarks.measure import ROUNDS, Figure, figure, ratio
from benchmarks.memory import Memory


def fused_vs_handwritten() -> list[Figure]:
    """bench4 fused on kernel maps and on direct tables, flow cache or not, against one function written by hand on the same kernel maps."""
    kernel = chains.build(chains.bench4())
    direct = chains.build(chains.bench4(tables="direct"))
    cached = {f"{tables}, flow cache": chains.build(chains.bench4(tables=tables, flow_cache=4096)) for tables in ("kernel", "direct")}
    hand, first = (baselines.compiled("bench4.c", ("bench4",), kernel, *more)[0] for more in ((), ("SESSIONS_FIRST",)))
    same = baselines.compiled("bench4.c", ("bench4",), kernel, "SAME_AGAIN")[0]
    arms = {"by hand": (hand, "fused"), "by hand, again": (same, "fused"), "by hand, sessions first": (first, "fused")}
    found: list[Figure] = []
    with Memory({"fused": kernel, "direct": direct, **cached}, arms) as rig:
        for words, mix in {"IPv4, 1k flows": Mix(), "IPv4, 1 flow": Mix(flows=1), "IPv6, 1k flows": Mix(family=6)}.items():
            samples = _compared(rig, mix, ["fused", "direct", *cached, *arms])
            found += [figure(f"{arm}, {words}", times, "ns") for arm, times in samples.items()]
            found.append(_ratio(f"A/A: by hand / by hand, {words}", samples, "by hand, again", "by hand"))
            found.append(_ratio(f"fused / by hand, {words}", samples, "fused", "by hand", 1.02))
            found.append(_ratio(f"direct / by hand, {words}", samples, "direct", "by hand", 0.25))
            found.append(_ratio(f"kernel with / without flow cache, {words}", samples, "kernel, flow cache", "fused"))
            found.append(_ratio(f"direct with / without flow cache, {words}", samples, "direct, flow cache", "direct"))
    return found


def granularity() -> list[Figure]:
    """The same chain as one program, one a VNF, one an mNF, and as `auto` cuts it."""
    levels = ("chain", "auto", "vnf", "mnf")
    bundles = {level: chains.build(chains.bench4(granularity=level, rules=4)) for level in levels}
    with Memory(bundles) as rig:
        samples = _compared(rig, Mix(), list(levels))
    found = [figure(f"{level}, {len(bundles[level].programs)} programs", samples[level], "ns") for level in levels]
    return [*found, *(_ratio(f"{level} / chain", samples, level, "chain") for level in levels[1:])]


def around_vms() -> list[Figure]:
    """A chain with a stage in VMs, for packets that need none: as written with a program for each mNF, and as it is made now."""
    auto = chains.bench4(granularity="auto", rules=4, path="acl, stats, waf, lb")
    bundles = {
        "as written, mnf": chains.build(replace(auto, granularity="mnf", optimise=False)),
        "mnf": chains.build(replace(auto, granularity="mnf")),
        "auto": chains.build(auto),
    }
    with Memory(bundles) as rig:
        samples = _compared(rig, Mix(proto="udp"), list(bundles))
    found = [figure(f"{arm}, {len(bundle.programs)} programs", samples[arm], "ns") for arm, bundle in bundles.items()]
    return [*found, *(_ratio(f"{arm} / as written", samples, arm, "as written, mnf") for arm in bundles if arm != "as written, mnf")]


BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    "fused-vs-handwritten": fused_vs_handwritten,
    "granularity": granularity,
    "around-vms": around_vms,
}


def _compared(rig: Memory, mix: Mix, arms: list[str], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Times of arms that make the same of the same packets; AssertionError where they don't."""
    rig.verify(mix, arms)
    return rig.compare(arms, rounds)


def _ratio(name: str, samples: dict[str, list[float]], over: str, under: str, goal: float | None = None) -> Figure:
    return ratio(name, samples[over], samples[under], goal)
