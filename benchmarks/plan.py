"""`plan` of a long chain, as an operator types it: forty mNFs of the example's VNFs, compiled anew and from the cache."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROUNDS, Figure, figure, interleaved
from ebpfnf import pipeline, spec

_VNFS = {
    "edge": "{vnf: edge-firewall, rules: [{allow: {ip.proto: tcp, l4.dport: 80}}], default: allow}",
    "stats": "{vnf: monitor, subnets: [198.51.100.0/24]}",
    "waf": "{vnf: application-firewall}",
    "lb": "{vnf: load-balancer, vips: [198.51.100.7], port: 80, backends: [{v4: 10.1.0.11, port: 8080}]}",
}
_TIMES = {"edge": 5, "stats": 7, "waf": 3, "lb": 2}  # of 2, 2, 2 and 3 mNFs; `then: route` adds 4


def chain() -> str:
    """The chain.yaml: VNFs in turn, as far as there are any left."""
    path = [f"{name}{k}" for k in range(max(_TIMES.values())) for name, times in _TIMES.items() if k < times]
    vnfs = "\n".join(f"  {name}: {_VNFS[name.rstrip('0123456789')]}" for name in path)
    head = "ebpfnf: 1\ndeployment: forty\nports: {a: {interface: lo}}\n"
    return head + f"vnfs:\n{vnfs}\nchains: {{c: {{on: a, match: {{}}, path: [{', '.join(path)}], then: route}}}}\n"


def run() -> list[Figure]:
    """Milliseconds from the command to its last word, the start of Python included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "chain.yaml"
        file.write_text(chain())
        count = len(pipeline.expand(spec.load(file)).positions)
        assert count == 40, count
        caches = iter(folder / f"cache{k}" for k in range(10**6))
        warm = next(caches)
        _plan(file, warm)
        spent: dict[str, list[float]] = {"warm": [], "cold": []}
        arms = {"warm": lambda: spent["warm"].append(_plan(file, warm)), "cold": lambda: spent["cold"].append(_plan(file, next(caches)))}
        found = [figure(f"plan of 40 mNFs, {arm}", times, "ms", 2000.0) for arm, times in interleaved(arms, min(ROUNDS, 7)).items()]
        return [*found, *(figure(f"  of which the processor's, {arm}", times, "ms") for arm, times in spent.items())]


def _plan(file: Path, cache: Path) -> float:
    """Milliseconds that it and its children kept processors busy."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "ebpfnf.cli.main", "plan", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "XDG_CACHE_HOME": str(cache)})
    if done.returncode:
        raise RuntimeError(f"plan: {done.stderr.strip()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


BENCHMARKS = {"plan-40": run}
