"""How costs grow: with mNFs, rules, prefixes, flows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from benchmarks import chains, tables
from benchmarks.frames import Mix
from benchmarks.measure import ROUNDS, Figure, figure, point
from benchmarks.memory import Memory
from ebpfnf.model import Bundle, Deployment

_BACKINGS = ("kernel", "direct")
_MOST_IN_KERNEL = 4096  # rules of an acl behind a kernel map
LIGHT = """\
mnf: light
summary: Refuse one port.
reads: [l4.sport]
writes: []
verdicts: [NEXT, DROP]
params:
  port: {type: port, doc: who sends from there is refused}
reasons:
  refused: it comes from the port
"""
_COUNTING = LIGHT.replace("light", "counting") + "state:\n  seen: {table: counter, value: u64, size: 4}\n"
CHECK = "return pkt->flow.sport == cfg.port ? DROP(refused) : NEXT;"  # a constant that no compiler knows, so that nothing is folded


def light(count: int, name: str) -> Deployment:
    """So many small mNFs, each of which compares a field, or counts in a table of its own besides."""
    body = f"MNF(struct pkt *pkt)\n{{\n\t{'seen_add(1, 1); ' if name == 'counting' else ''}{CHECK}\n}}\n"
    nodes = "\n".join(f"  n{k}: {{mnf: {name}, port: {k + 1}}}" for k in range(count))
    template = f"vnf: lights\nsummary: Small mNFs.\nmnfs:\n{nodes}\n"
    text = (
        f"ebpfnf: 1\ndeployment: {name}-{count}\noptimise: false\nports:\n  wan: {{interface: eth0}}\n  lan: {{interface: eth1}}\n"
        'vnfs:\n  all: {vnf: lights}\nchains:\n  c: {on: wan, match: {}, path: [all], then: "out: lan"}\n'
    )
    return chains.load(text, {"lights": template}, {name: (_COUNTING if name == "counting" else LIGHT, body)})


def light_mnfs(rounds: int = ROUNDS, counts: Sequence[int] = (1, 2, 4, 8, 16, 32)) -> list[Figure]:
    """What one more small mNF costs, fused: one that compares a field, and one that counts in a table of its own besides."""
    arms = {f"{n} {name}": chains.build(light(n, name)) for name in ("light", "counting") for n in counts}
    with Memory(arms) as rig:
        rig.verify(Mix(), list(arms))
        samples = rig.compare(list(arms), rounds)
    found = [point(arm.partition(" ")[2], "mNFs", int(arm.partition(" ")[0]), times, "ns") for arm, times in samples.items()]
    for name in ("light", "counting"):
        pairs = zip(samples[f"{counts[-1]} {name}"], samples[f"{counts[0]} {name}"], strict=True)
        found.append(figure(f"each more, {name}", [(many - few) / (counts[-1] - counts[0]) for many, few in pairs], "ns", 1.0))
    return found


def acl_scale(rounds: int = ROUNDS, counts: Sequence[int] = (10, 30, 100, 300, 1000, 3000, 10_000)) -> list[Figure]:
    """Rules of which the last one fits, in the whole chain of bench4."""
    found: list[Figure] = []
    for count in counts:
        behind = [b for b in _BACKINGS if b == "direct" or count < _MOST_IN_KERNEL]
        bundles = {f"{b} tables": chains.build(chains.bench4(rules=count, tables=b)) for b in behind}
        found += _points(bundles, "rules", count, Mix(), min(5, rounds))
    return found


def flows_scale(rounds: int = ROUNDS, counts: Sequence[int] = (1, 100, 1000, 10_000, 60_000)) -> list[Figure]:
    """Flows at a time in the whole chain of bench4; and one look-up in a table of connections, to a million."""
    bundles = {f"{b} tables": chains.build(chains.bench4(rules=2, tables=b)) for b in _BACKINGS}
    found: list[Figure] = []
    for count in counts:
        found += _points(bundles, "flows", count, Mix(flows=count), rounds)
    cases = [case for count in (1000, 100_000, 1_000_000) for case in tables.flows(count)]
    return [*found, *(f for case in cases for f in tables.measured(case, min(5, rounds)))]


def flow_cache(rounds: int = ROUNDS, counts: Sequence[int] = (1, 100, 1000, 4000, 10_000, 60_000)) -> list[Figure]:
    """Flows that take turns in the whole chain of bench4, with a cache for 16,384 of them and without."""
    sizes = {"tables": 0, "tables, flow cache": 1 << 14}
    bundles = {f"{b} {what}": chains.build(chains.bench4(tables=b, flow_cache=size)) for b in _BACKINGS for what, size in sizes.items()}
    return [f for count in counts for f in _points(bundles, "flows", count, Mix(flows=count), rounds)]


def lpm_scale(rounds: int = ROUNDS, counts: Sequence[int] = (10, 100, 1000, 10_000, 100_000, 500_000)) -> list[Figure]:
    """One look-up among so many prefixes, of addresses that lie in them all: /24 of IPv4, /48 of IPv6."""
    cases = [(count, version) for count in counts for version in (4, 6)]
    return [f for count, version in cases for f in tables.measured(tables.prefixes(count, version), min(5, rounds))]


def _points(bundles: dict[str, Bundle], what: str, x: int, mix: Mix, rounds: int) -> Iterator[Figure]:
    with Memory(bundles) as rig:
        rig.verify(mix, list(bundles))
        for backing, times in rig.compare(list(bundles), rounds).items():
            yield point(backing, what, x, times, "ns")


BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    "light-mnfs": light_mnfs, "acl-scale": acl_scale, "lpm-scale": lpm_scale, "flows-scale": flows_scale, "flow-cache": flow_cache,
}  # fmt: skip
