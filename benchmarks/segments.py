"""What the choice of segments is worth: `granularity: auto` against all ways to cut chains of four to eight mNFs into programs."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations

from benchmarks import chains
from benchmarks.frames import Mix
from benchmarks.measure import ROUNDS, Figure, figure, ratio
from benchmarks.memory import Memory
from benchmarks.predict import deployment
from benchmarks.scale import CHECK, LIGHT
from ebpfnf import pipeline
from ebpfnf.analyse import profile
from ebpfnf.generate import segment
from ebpfnf.model import Bundle, Deployment, Graph, Segments

_PATHS = (("stats", "edge"), ("stats", "lb"), ("edge", "stats", "waf"), ("edge", "stats", "lb"), ("edge", "stats", "waf", "stats"))
_NEAR = 8  # others that are timed again
_HEAVY = """\
mnf: heavy
summary: Refuse what adds up to one number; two of them are more than the verifier looks at.
reads: [pl.head, m.pl_len]
writes: []
verdicts: [NEXT, DROP]
reasons:
  refused: it adds up to one
"""
_HEAVY_BODY = """\
MNF(struct pkt *pkt)
{
	u32 sum = 0;

	for (u32 i = 0; i < 2000; i++) {
		int byte = payload_byte(pkt, i);

		if (byte < 0)
			break;
		sum = sum * 31 + byte;
		for (u32 j = 0; i > 64 && j < 20; j++)	/* what is sent is shorter: only the verifier comes here */
			sum = (sum ^ byte) * 31 + (sum >> 3);
	}
	return sum == 1 ? DROP(refused) : NEXT;
}
"""


def heavy(order: Sequence[str]) -> Deployment:
    """A chain of light and heavy mNFs."""
    text = (
        "ebpfnf: 1\ndeployment: heavy\noptimise: false\nports:\n  wan: {interface: eth0}\n  lan: {interface: eth1}\n"
        'vnfs:\n  all: {vnf: several}\nchains:\n  c: {on: wan, match: {}, path: [all], then: "out: lan"}\n'
        'expect:\n  - {on: wan, packet: "tcp 192.0.2.9:4000 > 198.51.100.7:80 flags PA size 64", verdict: REDIRECT, port: lan}\n'
    )
    own = {"light": "{mnf: light, port: 1}", "heavy": "{mnf: heavy}"}
    nodes = "\n".join(f"  n{k}: {own[name]}" for k, name in enumerate(order))
    template = f"vnf: several\nsummary: Light and heavy mNFs.\nmnfs:\n{nodes}\n"
    bodies = {"light": (LIGHT, f"MNF(struct pkt *pkt)\n{{\n\t{CHECK}\n}}\n"), "heavy": (_HEAVY, _HEAVY_BODY)}
    return chains.load(text, {"several": template}, bodies)


def cases() -> Iterator[tuple[str, Deployment, Deployment]]:
    """(its name, what is cut, what is profiled for it): the second is the first where that fits a program."""
    for path in _PATHS:
        yield "-".join(path), deployment(path), deployment(path)
    yield "two heavy ones", heavy(("light", "heavy", "light", "light", "heavy", "light")), heavy(("light", "heavy", "light"))


def cuts(graph: Graph) -> Iterator[tuple[str, Segments]]:
    """All ways to cut the topological order into pieces."""
    order = [p.index for p in graph.positions]
    for places in (c for size in range(len(order)) for c in combinations(range(1, len(order)), size)):
        groups = tuple(tuple(order[a:b]) for a, b in zip((0, *places), (*places, len(order)), strict=True))
        yield f"cut before {' '.join(str(place + 1) for place in places) or 'none'}", Segments(groups)


def auto_best(rounds: int = ROUNDS) -> list[Figure]:
    """`auto`, by this host's profile. All cuts of a chain work on the same maps, so that only the programs differ."""
    found: list[Figure] = []
    for name, given, profiled in cases():
        graph = pipeline.expand(given)
        choice = segment(graph, "auto", profile.measure(profiled))
        tried = {choice: "auto"}
        for words, each in cuts(graph):
            tried.setdefault(each, words)
        with ThreadPoolExecutor(os.cpu_count()) as workers:  # each compiler is a process
            bundles = dict(zip(tried.values(), workers.map(partial(pipeline.assemble, graph), tried), strict=True))
        found += _held(f"{name}, {len(graph.positions)} mNFs", bundles, len(choice.groups), rounds)
    return found


def _held(words: str, bundles: Mapping[str, Bundle], programs: int, rounds: int) -> list[Figure]:
    """`auto` and the best of the others: who may be that is found out roughly, who is by more rounds."""
    with Memory(bundles, same_maps=True) as rig:
        arms = list(rig.loaded)
        rig.verify(Mix(flows=64), arms)
        rough = rig.compare(arms, 1)
        near = sorted((name for name in arms if name != "auto"), key=lambda name: rough[name][0])[:_NEAR]
        samples = rig.compare(["auto", *near], rounds)
    best = min(near, key=lambda name: statistics.median(samples[name]))
    return [
        figure(f"auto, {programs} programs, {words}", samples["auto"], "ns"),
        figure(f"best of {len(arms) - 1} others, {best}, {words}", samples[best], "ns"),
        ratio(f"auto / best, {words}", samples["auto"], samples[best], 1.05),
        figure(f"cuts that the verifier refuses, {words}", [len(bundles) - len(arms)], "cuts"),
    ]


BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {"auto-best": auto_best}
