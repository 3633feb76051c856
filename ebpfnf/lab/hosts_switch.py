"""The switch of lab hosts: a namespace into which every port is plugged, so that a machine that dies leaves the others' ports alone.

One bridge for management, on which whoever manages has an address, and one of two ports for each cable.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from ebpfnf.errors import AgentError
from ebpfnf.kernel import insn, programs
from ebpfnf.lab import namespaces
from ebpfnf.lab.hosts_topology import Machines
from ebpfnf.lab.offload import set_offload

MANAGEMENT = "mgmt0"
_MANAGER = "10.66.255.1"
_RANDOM = 7  # bpf_get_prandom_u32
_MODULO = 0x97
_SKB_MODE = 2
_QUIET = ("ipv6/conf/default/accept_dad", "ipv6/conf/default/accept_ra", "ipv6/conf/default/router_solicitations")


class Switch:
    """`namespace`: the name of a host's network namespace; `name`: of the switch's own."""

    def __init__(self, machines: Machines, name: str, namespace: Callable[[str], str]) -> None:
        self.machines, self.name, self._namespace = machines, name, namespace

    def up(self) -> None:
        """The switch with its bridges, and nothing plugged in."""
        namespaces.create(self.name)
        with namespaces.entered(self.name), IPRoute() as ip:
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
            for bridge in ("br0", *(f"br{number + 1}" for number in range(len(self.machines.topology.cables)))):
                ip.link("add", ifname=bridge, kind="bridge", br_mcast_snooping=0)
                ip.link("set", index=_index(ip, bridge), state="up")
            ip.addr("add", index=_index(ip, "br0"), address=_MANAGER, prefixlen=16)

    def plug(self, host: str) -> None:
        """Makes a host's network namespace and its ports. A machine puts its own up when it has booted."""
        namespaces.create(self._namespace(host))
        with namespaces.entered(self._namespace(host)), IPRoute() as ip:
            for key in _QUIET:
                Path("/proc/sys/net", key).write_text("0")
            ip.link("set", index=_index(ip, "lo"), state="up")
        for port, mac, bridge, addresses in self._ports(host):
            outer = self.outer(host, port)
            with namespaces.entered(self.name), IPRoute() as ip:
                peer = {"ifname": port, "address": mac, "net_ns_fd": self._namespace(host)}
                ip.link("add", ifname=outer, kind="veth", peer=peer)
                set_offload(outer, "gro", True)
                set_offload(outer, "tx_checksum", False)  # else what GRO put together comes to XDP unfinished
                ip.link("set", index=_index(ip, outer), master=_index(ip, bridge))
                ip.link("set", index=_index(ip, outer), state="up")
            with namespaces.entered(self._namespace(host)), IPRoute() as ip:
                set_offload(port, "tx_checksum", False)
                set_offload(port, "gro", host not in self.machines.machines)
                for address in addresses:
                    ip.addr("add", index=_index(ip, port), address=address.partition("/")[0], prefixlen=int(address.partition("/")[2]))
                if host not in self.machines.machines:
                    ip.link("set", index=_index(ip, port), state="up")

    def unplug(self, host: str) -> None:
        """Pulls all cables of a host; its namespace goes with them."""
        with suppress(AgentError), namespaces.entered(self.name), IPRoute() as ip:
            for port, *_ in self._ports(host):
                with suppress(NetlinkError, IndexError):
                    ip.link("del", index=_index(ip, self.outer(host, port)))
        namespaces.remove(self._namespace(host))

    def carry(self, host: str, port: str, on: bool) -> None:
        """Whether the cable of this port carries anything."""
        with namespaces.entered(self.name), IPRoute() as ip:
            ip.link("set", index=_index(ip, self.outer(host, port)), state="up" if on else "down")

    def lose(self, host: str, percent: int) -> None:
        """Loses that share of what is managed, in both directions; 0 for none."""
        for namespace, port in ((self.name, self.outer(host, MANAGEMENT)), (self._namespace(host), MANAGEMENT)):
            with namespaces.entered(namespace), IPRoute() as ip:
                program = programs.load(_losing(percent), "lossy") if percent else -1
                try:
                    ip.link("set", index=_index(ip, port), xdp={"attrs": [("IFLA_XDP_FD", program), ("IFLA_XDP_FLAGS", _SKB_MODE)]})
                finally:
                    if percent:
                        os.close(program)

    def settle(self, hosts: tuple[str, ...]) -> None:
        """Waits until the kernel says that all ports of these hosts carry."""
        until = time.monotonic() + 5
        with namespaces.entered(self.name), IPRoute() as ip:
            for name in [self.outer(host, port) for host in hosts for port, *_ in self._ports(host)]:
                while ip.link("get", ifname=name)[0].get_attr("IFLA_OPERSTATE") != "UP":
                    if time.monotonic() > until:
                        raise AgentError(f"port '{name}' of the lab's switch does not come up")
                    time.sleep(0.005)

    def outer(self, host: str, port: str) -> str:
        """The switch's end of a host's port."""
        names = [each.name for each in self.machines.topology.hosts]
        ports = [MANAGEMENT, *(each.name for each in self.machines.topology.host(host).ports)]
        return f"p{names.index(host)}-{ports.index(port)}"

    def _ports(self, host: str) -> list[tuple[str, str, str, tuple[str, ...]]]:
        """(port, MAC, bridge, addresses) of all that is plugged in."""
        topology = self.machines.topology
        cable = {end: f"br{number + 1}" for number, c in enumerate(topology.cables) for end in (c.a, c.b)}
        found = [(p.name, p.mac, cable[f"{host}:{p.name}"], p.addresses) for p in topology.host(host).ports if f"{host}:{p.name}" in cable]
        if host not in self.machines.machines:
            return found
        return [(MANAGEMENT, self.machines.mac(host), "br0", (f"{self.machines.address(host)}/16",)), *found]


def _index(ip: Any, name: str) -> int:
    return int(ip.link_lookup(ifname=name)[0])


def _losing(percent: int) -> bytes:
    return b"".join(
        (
            insn.call(_RANDOM),
            insn.raw(_MODULO, imm=100),
            insn.jump("jge", 0, percent, 2),
            insn.leave(insn.XDP_DROP),
            insn.leave(insn.XDP_PASS),
        )
    )
