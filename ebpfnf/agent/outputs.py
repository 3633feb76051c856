"""Ports that frames leave by: whether what stands behind them takes what XDP redirects. Where it does not, frames are lost uncounted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ebpfnf.agent.netlink import Interface
from ebpfnf.model import Counter, Port


class Deployed(Protocol):
    """A bundle, or a manifest."""

    @property
    def ports(self) -> tuple[Port, ...]:
        """See `Bundle`."""

    @property
    def counters(self) -> tuple[Counter, ...]:
        """See `Bundle`."""

    @property
    def chains(self) -> tuple[Mapping[str, Any], ...]:
        """See `Bundle`."""


def cure(interface: Interface) -> str:
    """What makes an interface take redirected frames."""
    if interface.kind == "veth":
        return f"ethtool -K PEER gro on at the other end of {interface.name}, or an XDP program there"
    return "a driver that implements ndo_xdp_xmit"


def deaf(interface: Interface) -> bool:
    """Whether frames redirected to it are lost. Hardware may say so only as long as it has no program itself."""
    return not interface.takes and (interface.kind == "veth" or bool(interface.program))


def outputs(deployed: Deployed) -> tuple[Port, ...]:
    """The ports that chains or mNFs may send to: all, where packets choose."""
    ends = [chain.get("then") for chain in deployed.chains] + [port.otherwise for port in deployed.ports]
    if "route" in ends or any(counter.kind == "redirect" and counter.stage for counter in deployed.counters):
        return deployed.ports
    return tuple(port for port in deployed.ports if f"out:{port.name}" in ends)


def warnings(deployed: Deployed, interfaces: Mapping[str, Interface]) -> Sequence[str]:
    """Of each port whose frames would be lost, in words."""
    found = [(port, interfaces[port.interface]) for port in outputs(deployed) if port.interface in interfaces]
    return [
        f"port '{port.name}': '{port.interface}' takes no frames that XDP redirects, lost though counted as sent: {cure(interface)}"
        for port, interface in found
        if deaf(interface)
    ]
