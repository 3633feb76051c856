"""Functions of others behind ports: whether they serve, as their carriers say, and what a generation's programs know of it (function.h)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from ebpfnf.agent.netlink import Interface
from ebpfnf.kernel import pins
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Generation
from ebpfnf.model import Function, Port

MAP = "functions"

_KEY = bytes(4)
_PORT = struct.Struct("=IH6s4x")  # serves, addressed, mac


class Deployed(Protocol):
    """A bundle, or a manifest."""

    @property
    def ports(self) -> tuple[Port, ...]:
        """See `Bundle`."""

    @property
    def functions(self) -> tuple[Function, ...]:
        """See `Bundle`."""


def taps(function: Function, ports: Iterable[Port]) -> tuple[str, ...]:
    """The interfaces that the agent makes for a function, one for each of its ports; none where it boots no image."""
    behind = {port.name: port.interface for port in ports}
    return tuple(behind[port] for port in function.ports) if function.image else ()


def machine(deployment: str, function: Function, ports: Iterable[Port]) -> str:
    """The name of the machine that a function boots. It says all: the digest is that of the image, what is said of it, and its taps."""
    told = repr((function.image, taps(function, ports), function.macs))
    return f"ebpfnf-image.{deployment}.{function.name}.{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def machines(deployment: str, functions: Iterable[Function], ports: tuple[Port, ...]) -> dict[str, Function]:
    """The machines that these functions boot, by name."""
    return {machine(deployment, function, ports): function for function in functions if function.image}


def function_of(name: str) -> str:
    """The name of the function that a machine is."""
    return name.split(".")[2]


def serving(deployed: Deployed, interfaces: Mapping[str, Interface]) -> frozenset[str]:
    """The functions that have carrier behind all of their ports."""
    behind = {port.name: interfaces.get(port.interface) for port in deployed.ports}
    found = {f.name: [behind.get(port) for port in f.ports] for f in deployed.functions}
    return frozenset(name for name, each in found.items() if all(i is not None and i.up and i.carrier for i in each))


def write(states: Map, deployed: Deployed, serves: Iterable[str]) -> None:
    """Let packets go to these functions; to the others they do what `on_failure` says."""
    number = {port.name: port.number for port in deployed.ports}
    data, able = bytearray(states.value_size), frozenset(serves)
    for function in deployed.functions:
        for port, mac in zip(function.ports, function.macs or [""] * len(function.ports), strict=True):
            address = bytes.fromhex(mac.replace(":", ""))
            _PORT.pack_into(data, number[port] * _PORT.size, function.name in able, bool(mac), address)
    states.update(_KEY, bytes(data))


def told(paths: Generation, deployed: Deployed) -> frozenset[str]:
    """The functions that a generation's packets go to."""
    if not deployed.functions or not pins.exists(paths.table(MAP)):
        return frozenset()
    number = {port.name: port.number for port in deployed.ports}
    with Map.open(paths.table(MAP)) as states:
        data = states.lookup(_KEY) or b""
    return frozenset(f.name for f in deployed.functions if _PORT.unpack_from(data, number[f.ports[0]] * _PORT.size)[0])


def refresh(paths: Generation, deployed: Deployed, interfaces: Mapping[str, Interface]) -> Sequence[str]:
    """Tell a generation what serves now: the functions of which that is news."""
    if not deployed.functions or not pins.exists(paths.table(MAP)):
        return ()
    before, now = told(paths, deployed), serving(deployed, interfaces)
    if before == now:
        return ()
    with Map.open(paths.table(MAP)) as states:
        write(states, deployed, now)
    return sorted(before ^ now)
