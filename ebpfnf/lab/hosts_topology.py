"""What stands around lab hosts: machines with ports, bare ends for traffic, cables between them, all with fixed addresses.

machines: {h1: [wan0, lan0], h2: [wan0, lan0]}
ends: {client: [eth0], sink: [eth0]}
cables: ["client:eth0 h1:wan0", "h1:lan0 h2:wan0", "h2:lan0 sink:eth0"]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ebpfnf.errors import AgentError
from ebpfnf.lab.topology import Cable, Host, Port, Topology
from ebpfnf.spec import shape, yaml
from ebpfnf.spec.files import Interface, Kebab
from ebpfnf.spec.problems import Problems, meant, quote

MAX_HOSTS = 100
_CABLE = re.compile(r"(\S+:\S+) (\S+:\S+)\Z")


@dataclass(frozen=True, slots=True)
class Machines:
    """`machines`: the hosts of the topology that are machines of their own, with sshd; the others are namespaces."""

    topology: Topology
    machines: tuple[str, ...]

    def address(self, machine: str) -> str:
        """Where its sshd listens."""
        return f"10.66.{self.machines.index(machine) // 200}.{self.machines.index(machine) % 200 + 11}"

    def mac(self, machine: str) -> str:
        """Of the port through which it is managed."""
        return f"02:66:00:00:00:{self.machines.index(machine) + 1:02x}"


class TopologyFile(shape.Shape):
    """The file."""

    machines: Annotated[dict[Kebab, list[Interface]], Field(min_length=1, max_length=MAX_HOSTS)]
    ends: dict[Kebab, list[Interface]] = {}  # noqa: RUF012 -- pydantic copies it
    cables: list[str] = []  # noqa: RUF012


def line(count: int) -> Machines:
    """client, h1 to h<count> and sink in a row: what goes from end to end passes every machine."""
    if not 1 <= count <= MAX_HOSTS:
        raise AgentError(f"{count} lab hosts", cure=f"1 to {MAX_HOSTS}")
    names = [f"h{number}" for number in range(1, count + 1)]
    row = ["client:eth0", *(f"{name}:{port}" for name in names for port in ("wan0", "lan0")), "sink:eth0"]
    cables = list(zip(row[::2], row[1::2], strict=True))
    return _made({name: ["wan0", "lan0"] for name in names}, {"client": ["eth0"], "sink": ["eth0"]}, cables)


def load(path: Path) -> Machines:
    """The topology of a file. Raises SpecErrors."""
    problems = Problems()
    tree = yaml.load(path, problems)
    checked = shape.check(TopologyFile, tree, problems) if tree else None
    problems.raise_any()
    assert tree is not None and checked is not None
    file = checked[0]
    free = {f"{name}:{port}": True for part in (file.machines, file.ends) for name, ports in part.items() for port in ports}
    cables = []
    for number, words in enumerate(file.cables):
        found = _CABLE.match(words)
        if not found:
            problems.add(f"cable {quote(words)}", tree.at("cables", number), "wanted 'host:port host:port'")
            continue
        for end in found.groups():
            if not free.get(end):
                words = f"port {quote(end)} has a cable already" if end in free else f"no port {quote(end)}"
                problems.add(words, tree.at("cables", number), meant(end, free, "ports"))
            free[end] = False
        cables.append((found[1], found[2]))
    for name in {*file.machines} & {*file.ends}:
        problems.add(f"{quote(name)} is a machine and an end", tree.key_at("ends", name))
    problems.raise_any()
    return _made(file.machines, file.ends, cables)


def _made(machines: Mapping[str, list[str]], ends: Mapping[str, list[str]], cables: list[tuple[str, str]]) -> Machines:
    address = {end: f"10.77.{number}.{side + 1}/16" for number, cable in enumerate(cables) for side, end in enumerate(cable)}
    hosts = []
    for number, (name, ports) in enumerate([*machines.items(), *ends.items()]):
        made = []
        for index, port in enumerate(ports):
            has = address.get(f"{name}:{port}")
            # frames that XDP sends here reach an end only through a veth with GRO; an end leaves no checksum to a NIC that it hasn't got
            made.append(Port(port, f"02:77:00:00:{number:02x}:{index + 1:02x}", (has,) if has else (), gro=name in ends, tx_checksum=False))
        hosts.append(Host(name, tuple(made), forwards=name in machines))
    return Machines(Topology("machines", tuple(hosts), tuple(Cable(a, b) for a, b in cables)), tuple(machines))
