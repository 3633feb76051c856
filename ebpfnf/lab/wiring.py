"""A topology becomes interfaces, addresses, routes and neighbours, host by host."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from ebpfnf.errors import AgentError
from ebpfnf.lab import namespaces
from ebpfnf.lab.offload import set_offload
from ebpfnf.lab.topology import Cable, Host, Port, Topology

_PERMANENT = 0x80  # NUD_PERMANENT
_NO_DAD = 0x02  # IFA_F_NODAD


def _sysctl(host: Host) -> dict[str, int]:
    """Settings under net/ that are in force before any interface is there."""
    if host.bridges:
        return {"ipv6/conf/default/disable_ipv6": 1}
    quiet = {f"ipv6/conf/default/{name}": 0 for name in ("accept_dad", "accept_ra", "router_solicitations")}
    if host.forwards:
        return quiet | {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1, "ipv6/conf/default/forwarding": 1}
    return quiet


def neighbours(topology: Topology, host: Host) -> Iterator[tuple[Port, str, str]]:
    """(own port, address, MAC) of all who share a subnet with `host`."""
    for port in host.ports:
        own = {ipaddress.ip_interface(address).network for address in port.addresses}
        for other in topology.hosts:
            if other is host:
                continue
            for theirs in other.ports:
                for address in map(ipaddress.ip_interface, theirs.addresses):
                    if address.network in own:
                        yield port, str(address.ip), theirs.mac


def wire(topology: Topology, namespace: Callable[[str], str]) -> None:
    """Wires the hosts, whose namespaces exist; `namespace` gives their names."""
    for host in topology.hosts:
        with namespaces.entered(namespace(host.name)):
            for key, value in _sysctl(host).items():
                Path("/proc/sys/net", key).write_text(str(value))
    for cable in topology.cables:
        _lay(topology, cable, namespace)
    # a veth that comes up before its other end takes redirected frames will refuse them for good
    for host in topology.hosts:
        with namespaces.entered(namespace(host.name)):
            for port in host.ports:
                set_offload(port.name, "gro", port.gro)
                set_offload(port.name, "tx_checksum", port.tx_checksum)
    for host in topology.hosts:
        with namespaces.entered(namespace(host.name)), IPRoute() as ip:
            _bring_up(topology, host, ip)
    for host in topology.hosts:
        with namespaces.entered(namespace(host.name)), IPRoute() as ip:
            _settle(host, ip)


def _lay(topology: Topology, cable: Cable, namespace: Callable[[str], str]) -> None:
    (host, port), (peer_host, peer_port) = (end.split(":") for end in (cable.a, cable.b))
    mac = {(h.name, p.name): p.mac for h in topology.hosts for p in h.ports}
    peer = {"ifname": peer_port, "address": mac[peer_host, peer_port], "net_ns_fd": namespace(peer_host)}
    with namespaces.entered(namespace(host)), IPRoute() as ip:
        ip.link("add", ifname=port, kind="veth", address=mac[host, port], peer=peer)


def _bring_up(topology: Topology, host: Host, ip: Any) -> None:
    index = {link.get_attr("IFLA_IFNAME"): link["index"] for link in ip.get_links()}
    ip.link("set", index=index["lo"], state="up")
    if host.bridges:
        ip.link("add", ifname="br0", kind="bridge", br_mcast_snooping=0)
        index["br0"] = ip.link_lookup(ifname="br0")[0]
        ip.link("set", index=index["br0"], state="up")
    for port in host.ports:
        if host.bridges:
            ip.link("set", index=index[port.name], master=index["br0"])
        ip.link("set", index=index[port.name], state="up")
        for address in map(ipaddress.ip_interface, port.addresses):
            flags = {"flags": _NO_DAD} if address.version == 6 else {}
            ip.addr("add", index=index[port.name], address=str(address.ip), prefixlen=address.network.prefixlen, **flags)
    for own, other, mac in neighbours(topology, host):
        ip.neigh("replace", dst=other, lladdr=mac, ifindex=index[own.name], state=_PERMANENT)
    own_addresses = [ipaddress.ip_interface(address) for port in host.ports for address in port.addresses]
    for destination, gateway in host.routes:
        # the source is said: else IPv6 would prefer whichever address has most bits in common with the destination
        source = next(str(a.ip) for a in own_addresses if ipaddress.ip_address(gateway) in a.network)
        ip.route("add", dst=destination, gateway=gateway, prefsrc=source)


def _settle(host: Host, ip: Any) -> None:
    """Waits until the kernel says that the ports are up: it does so a moment after the cable's other end is."""
    until = time.monotonic() + 5
    while any(link.get_attr("IFLA_OPERSTATE") != "UP" for port in host.ports for link in ip.link("get", ifname=port.name)):
        if time.monotonic() > until:
            raise AgentError(f"a port of lab host '{host.name}' does not come up")
        time.sleep(0.005)
