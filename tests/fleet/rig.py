"""Three machines in a row and bundles for them: what the tests of many hosts share."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ebpfnf import pipeline, spec
from ebpfnf.fleet import inventory
from ebpfnf.fleet.change import Fleet, Parcel, parcels
from ebpfnf.lab.hosts import HostLab
from ebpfnf.model import Bundle

EXAMPLE = Path(__file__).parents[2] / "examples" / "hot-swap" / "chain.yaml"
NAME = "hot-swap"


@functools.cache
def bundle(mark: int) -> Bundle:
    """Five stages that leave this mark in each packet from `wan` to `lan`."""
    chain = spec.load(EXAMPLE)
    instances = tuple(dataclasses.replace(i, arguments={**i.arguments, "mark": mark}) for i in chain.instances)
    return pipeline.build(dataclasses.replace(chain, instances=instances))


@contextmanager
def fleet(lab: HostLab, name: str = "", environment: Mapping[str, Mapping[str, str]] | None = None) -> Iterator[Fleet]:
    with Fleet(inventory.load(lab.inventory).select(name), environment) as found:
        yield found


def sent(found: Fleet, mark: int, **options: Any) -> dict[str, Parcel]:
    return parcels(bundle(mark), [host.target for host in found.hosts.values()], options)


def digest(found: Fleet, host: str, mark: int) -> str:
    return sent(found, mark)[host].bundle.digest


def running(lab: HostLab) -> dict[str, int]:
    """Host -> the mark of what runs there, 0 for nothing; asked over connections of their own."""
    with fleet(lab) as found:
        marks = {digest(found, name, mark): mark for name in found.hosts for mark in (1, 2, 3)}
        statuses = found.each(lambda host: host.run("status", {"deployment": NAME}))
        assert not [each.error for each in statuses if each.error]
        return {each.host: marks[each.result["digest"]] if each.result["running"] else 0 for each in statuses}


def heal(lab: HostLab) -> None:
    """Every machine is on and reachable, and keeps nothing."""
    for machine in lab.status():
        if not machine.pid:
            lab.boot(machine.name)
        lab.freeze(machine.name, on=False)
        lab.cut(machine.name, on=True)
        lab.loss(machine.name, 0)
        run(lab, machine.name, "rm -rf /var/lib/ebpfnf/hot-swap /var/lib/full* /etc/ebpfnf")


def clear(lab: HostLab) -> None:
    """Nothing runs anywhere."""
    heal(lab)
    with fleet(lab) as found:
        assert not [each.error for each in found.each(lambda host: host.run("undeploy", {"deployment": NAME})) if each.error]


def begin(lab: HostLab, mark: int) -> None:
    """That mark runs everywhere, sent by somebody."""
    heal(lab)
    manager = {"by": "somebody", "epoch": 1, "plan": "first"}
    with fleet(lab) as found:
        boxes = sent(found, mark)
        assert not [each.error for each in found.each(lambda host: host.run("apply", boxes[host.name].payload(manager))) if each.error]


def run(lab: HostLab, host: str, script: str) -> str:
    import subprocess

    done = subprocess.run(lab.command(host, ["sh", "-c", script]), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
