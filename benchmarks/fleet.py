"""Twenty machines on this one, over real ssh: what an operator waits for when he asks or changes all of them at once."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Figure, figure, interleaved
from ebpfnf import pipeline, spec
from ebpfnf.fleet import inventory
from ebpfnf.fleet.change import Fleet, Parcel, parcels
from ebpfnf.lab.hosts import HostLab
from ebpfnf.lab.hosts_topology import line

CHAIN = Path(__file__).resolve().parent.parent / "examples" / "hot-swap" / "chain.yaml"
NAME = "hot-swap"
HOSTS = 20
ROUNDS = 4


def run() -> list[Figure]:
    """Needs root and sshd: a lab of its own, which is removed afterwards."""
    lab = HostLab("bench-fleet", line(HOSTS))
    up = interleaved({"up": lab.up}, 1)["up"]
    try:
        with Fleet(inventory.load(lab.inventory).select()) as fleet:
            return [figure(f"{HOSTS} lab hosts booted", up, "ms"), *_measured(fleet, lab.inventory)]
    finally:
        lab.down()


def _measured(fleet: Fleet, inventory_file: Path) -> list[Figure]:
    chain, generations = spec.load(CHAIN), []
    for mark in (1, 2):
        marked = tuple(dataclasses.replace(i, arguments={**i.arguments, "mark": mark}) for i in chain.instances)
        built = pipeline.build(dataclasses.replace(chain, instances=marked))
        generations.append(parcels(built, [host.target for host in fleet.hosts.values()], {}))
    turn = iter(range(10**6))
    first = interleaved({"first": lambda: _apply(fleet, generations[1])}, 1)["first"]  # connects, ships the agent, deploys
    host, script = fleet.hosts["h1"], Path(sys.executable).with_name("ebpfnf")
    asked = [str(script), "status", "--hosts", str(inventory_file), "-o", "json"]
    arms = {
        "a command on one host, connected": lambda: host.run("status", {"deployment": NAME}),
        f"status on {HOSTS} hosts, connected": lambda: _all(fleet, "status"),
        f"redeploy on {HOSTS} hosts, connected": lambda: _apply(fleet, generations[next(turn) % 2]),
        f"status on {HOSTS} hosts, from nothing": lambda: (fleet.close(), _all(fleet, "status"))[0],
        f"'ebpfnf status' of {HOSTS} hosts, a process": lambda: subprocess.run(asked, check=True, capture_output=True),
    }
    goals = {next(iter(arms)): 20.0, list(arms)[-1]: 2000.0}
    samples = interleaved(arms, ROUNDS)
    return [
        figure(f"first deploy on {HOSTS} hosts", first, "ms", 30_000.0),
        *(figure(name, samples[name], "ms", goals.get(name)) for name in arms),
    ]


def _apply(fleet: Fleet, sent: dict[str, Parcel]) -> None:
    payloads = {name: parcel.payload() for name, parcel in sent.items()}
    outcomes = fleet.each(lambda host: host.run("apply", payloads[host.name]))
    assert not [each.error for each in outcomes if each.error]
    assert all(each.result["changed"] for each in outcomes)


def _all(fleet: Fleet, command: str) -> None:
    outcomes = fleet.each(lambda host: host.run(command, {"deployment": NAME}))
    assert not [each.error for each in outcomes if each.error]
