"""What a testbed's kernel knows of routes, in Python: the longest prefix, then the neighbour; all else is the kernel's own business."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from ebpfnf.lab.testbed import mac_of
from ebpfnf.model import Port, Testbed
from ebpfnf.tables.types import ip_text
from tests.models.packet import FIB_KERNEL, Hop


class TestbedFib:
    """Called as an Interpreter's `fib`."""

    __test__ = False

    def __init__(self, ports: Sequence[Port], testbed: Testbed, mtu: int = 1500) -> None:
        self.mtu = mtu
        self.own: set[Any] = set()
        self.routes: list[tuple[Any, Any, int]] = []  # network, next hop or None, port
        self.neighbours: dict[tuple[int, Any], bytes] = {}
        for port in ports:
            around = testbed.ports.get(port.name)
            if not around:
                continue
            for interface in map(ipaddress.ip_interface, around.addresses):
                net = interface.network
                self.own |= {interface.ip, net.network_address}  # IPv6: the routers' anycast address
                if net.version == 4:
                    self.own.add(net.broadcast_address)
                self.routes.append((net, None, port.number))
            self.routes += [(ipaddress.ip_network(to), ipaddress.ip_address(via), port.number) for to, via in around.routes]
            for address, mac in around.neighbours.items():
                self.neighbours[port.number, ipaddress.ip_address(address)] = bytes.fromhex(mac.replace(":", ""))

    def __call__(self, address: bytes, length: int) -> Hop | str:
        target = ipaddress.ip_address(ip_text(address))
        fitting = [route for route in self.routes if route[0].version == target.version and target in route[0]]
        if target in self.own or not fitting or length > self.mtu:
            return FIB_KERNEL
        _, via, port = max(fitting, key=lambda route: route[0].prefixlen)
        mac = self.neighbours.get((port, via or target))
        return Hop(mac, bytes.fromhex(mac_of(port).replace(":", "")), port) if mac else FIB_KERNEL
