"""What a profile is worth: whole chains predicted from it."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Sequence
from itertools import permutations

from benchmarks import chains
from benchmarks.measure import ROUNDS, Figure, figure
from ebpfnf import packets, pipeline, spec
from ebpfnf.agent.load import HostFacts, load
from ebpfnf.analyse import cost, profile
from ebpfnf.analyse.drive import Drive
from ebpfnf.errors import VerifierError
from ebpfnf.model import Bundle, Deployment

_PROFILED = ("edge", "stats", "waf", "lb")  # the example's own chain


def paths() -> Iterator[tuple[str, ...]]:
    """Chains of the example's VNFs that the profile has not seen, nor as the beginning of another; the load balancer stays behind the
    firewalls, which know the service's address."""
    for size in range(4):
        for path in permutations(_PROFILED[:3], size):
            for whole in (path, (*path, "lb")):
                if whole and whole != _PROFILED[: len(whole)]:
                    yield whole


def deployment(path: Sequence[str]) -> Deployment:
    """The example with one chain, as the file says it; a VNF that is named again is another instance of it."""
    whole = spec.load(chains.DC_EDGE)
    of = {instance.name: instance for instance in whole.instances}
    names = [name if name not in path[:k] else f"{name}-{k}" for k, name in enumerate(path)]
    used = tuple(dataclasses.replace(of[name], name=own) for own, name in zip(names, path, strict=True))
    chain = dataclasses.replace(whole.chains[0], path=tuple(names), path_where=(), then="out:lan")
    seen = tuple(e for e in whole.expect if e.on == "wan" and e.verdict == "REDIRECT")
    return dataclasses.replace(whole, name="predict", instances=used, chains=(chain,), expect=seen, optimise=False)


def predictions(rounds: int = ROUNDS) -> list[Figure]:
    """Chains of which the profile has only seen the mNFs, in another chain: how far off the prediction is, in percent of what was measured.

    Three quarters are one program; every fourth is cut into its VNFs or mNFs, so that hops are predicted too. The profiled chain is timed
    with them: what it is off by is the machine's drift since the profile, which is taken off.
    """
    costs = profile.measure(deployment(_PROFILED))
    whole = pipeline.build(deployment(_PROFILED), "chain")
    bundles: dict[str, Bundle] = {}
    for k, path in enumerate(paths()):
        level = ("chain", "chain", "chain", ("vnf", "mnf")[k // 4 % 2])[k % 4]
        bundles[f"{'-'.join(path)}, {level}"] = pipeline.build(deployment(path), level)
    tried = len(bundles)
    bundles = {name: bundle for name, bundle in bundles.items() if _loads(bundle)}
    measured = _measured({"": whole, **bundles}, min(5, rounds))
    drift = statistics.median(measured[""]) / cost.expected(whole, costs)["inbound"]
    off = {}
    for name, bundle in bundles.items():
        off[name] = (cost.expected(bundle, costs)["inbound"] * drift / statistics.median(measured[name]) - 1) * 100
    found = sorted(map(abs, off.values()))
    return [
        *(figure(f"{name}: off by", [percent], "%") for name, percent in off.items()),
        figure("drift", [drift], "x"),
        figure("chains that the verifier refuses", [tried - len(bundles)], "chains", 0),
        figure(f"off by, median of {len(found)} chains", found, "%", 10.0),
        figure("off by, 90th percentile", [found[-1 - len(found) // 10]], "%", 25.0),
    ]


def _loads(bundle: Bundle) -> bool:
    """Whether the verifier takes it: a chain that it refuses must not hide what is true of the others."""
    try:
        with load(bundle, host=HostFacts.measure({port.name: (1, 1500) for port in bundle.ports})):
            return True
    except VerifierError:
        return False


def _measured(bundles: dict[str, Bundle], rounds: int) -> dict[str, list[float]]:
    """Ns of the mean of the expected packets, round by round, there and back."""
    whole = deployment(_PROFILED)
    frames = [packets.build(e.packet, e.where) for e in whole.expect]
    found: dict[str, list[float]] = {name: [] for name in bundles}
    with Drive(bundles, whole.testbed) as drive:
        for turn in range(rounds):
            for name in list(bundles)[:: 1 if turn % 2 == 0 else -1]:
                found[name].append(statistics.mean(drive.time(name, frame, "wan") for frame in frames))
    return found


BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {"predict": predictions}
