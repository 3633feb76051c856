"""Surroundings of a deployment's ports, as `testbed:` describes them: a network namespace for `ebpfnf test`, cases and replay.

Nothing is connected to these ports. They are there for what a program asks the kernel for: interfaces, routes, neighbours.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from ebpfnf.errors import AgentError
from ebpfnf.lab import namespaces
from ebpfnf.model import Port, Testbed, TestbedPort

_PERMANENT, _NO_DAD = 0x80, 0x02
_FORWARDING = ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv6/conf/default/forwarding")
_count = 0


def mac_of(number: int) -> str:
    """The MAC of the port with this number."""
    return f"02:00:00:00:01:{number:02x}"


@contextmanager
def surroundings(ports: Sequence[Port], testbed: Testbed) -> Iterator[Mapping[str, int]]:
    """The calling thread is in a namespace with these ports; gives the index of each one's interface. All is gone afterwards."""
    global _count
    _count += 1
    name = f"ebpfnf-testbed-{os.getpid()}-{_count}"
    namespaces.create(name)
    try:
        with namespaces.entered(name):
            for key in _FORWARDING:
                Path("/proc/sys/net", key).write_text("1")
            with IPRoute() as ip:
                indices = {port.name: _port(ip, port, testbed.ports.get(port.name, TestbedPort())) for port in ports}
                for port in ports:  # a route's next hop may be at any port
                    _routes(ip, testbed.ports.get(port.name, TestbedPort()), indices[port.name])
            yield indices
    finally:
        namespaces.remove(name)


def _port(ip: Any, port: Port, around: TestbedPort) -> int:
    near, far = f"p{port.number}", f"p{port.number}far"
    ip.link("add", ifname=near, kind="veth", address=mac_of(port.number), peer={"ifname": far})
    index = int(ip.link_lookup(ifname=near)[0])
    for end in (index, int(ip.link_lookup(ifname=far)[0])):
        ip.link("set", index=end, state="up")
    for address in map(ipaddress.ip_interface, around.addresses):
        flags = {"flags": _NO_DAD} if address.version == 6 else {}
        ip.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen, **flags)
    for neighbour, mac in around.neighbours.items():
        ip.neigh("replace", dst=neighbour, lladdr=mac, ifindex=index, state=_PERMANENT)
    return index


def _routes(ip: Any, around: TestbedPort, index: int) -> None:
    for destination, gateway in around.routes:
        try:
            ip.route("add", dst=destination, gateway=gateway, oif=index)
        except Exception as error:
            raise AgentError(f"testbed: route to '{destination}' via '{gateway}': {error}", around.where) from None
