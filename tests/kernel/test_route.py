"""What an administrator closed (blackhole, unreachable, prohibit) is dropped and counted; else without a route the kernel answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyroute2 import IPRoute

from ebpfnf import packets, pipeline
from ebpfnf.agent.private import PrivateCopy
from ebpfnf.lab.testbed import surroundings
from tests.subjects import SUBJECTS

pytestmark = pytest.mark.kernel
PACKETS = [
    ("203.0.113.0/24", "udp 192.0.2.9:1 > 203.0.113.5:2"),
    ("2001:db8:9::/48", "udp [2001:db8::9]:1 > [2001:db8:9::5]:2"),
]


@pytest.mark.parametrize("kind", ["blackhole", "unreachable", "prohibit"])
@pytest.mark.parametrize(("destination", "packet"), PACKETS)
def test_closed_routes_drop(kind: str, destination: str, packet: str, tmp_path: Path) -> None:
    deployment = next(subject for subject in SUBJECTS if subject.name == "router").deployment(tmp_path)
    bundle = pipeline.build(deployment)
    with surroundings(deployment.ports, deployment.testbed) as interfaces, IPRoute() as ip, PrivateCopy(bundle, interfaces) as copy:
        assert copy.run(packets.build(packet), "a", 0).counter.name == "route.route.pass"
        ip.route("add", dst=destination, type=kind)
        assert copy.run(packets.build(packet), "a", 0).counter.name == "route.no_route"
