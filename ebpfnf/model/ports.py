"""Ports, and functions of somebody else's between them: of what the files say, all that a host is told."""

from __future__ import annotations

from dataclasses import dataclass

from ebpfnf.errors import Where


@dataclass(frozen=True, slots=True)
class Port:
    """A logical name bound to an interface. Numbers count from 1, in file order."""

    name: str
    number: int
    interface: str
    otherwise: str = "pass"  # pass | drop | out:<port>
    fragments: str = "drop"  # drop | pass
    on_fault: str = "drop"  # drop | pass
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """What a machine boots: files of the host that it runs on, with the sums that they had when the bundle was built."""

    kernel: str = ""
    initrd: str = ""
    arguments: str = ""
    disk: str = ""
    format: str = "raw"  # raw | qcow2
    memory: int = 128  # MiB
    vcpus: int = 1
    ready: str = ""  # what it says on its serial console when it serves; empty: it serves when it has carrier
    sums: tuple[str, ...] = ()  # sha256 of each of `files`

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of kernel, initrd and disk, as far as there are such."""
        return tuple(path for path in (self.kernel, self.initrd, self.disk) if path)


@dataclass(frozen=True, slots=True)
class Function:
    """A network function of somebody else's: packets go to it by one of its ports, and come back, as new ones, by the other."""

    name: str
    ports: tuple[str, ...]  # one or two
    on_failure: str = "drop"  # bypass | drop: what becomes of its packets while it has no carrier
    macs: tuple[str, ...] = ()  # of its interface behind each port, for frames to be addressed to it; empty: they go as they are
    image: Image | None = None  # what the agent boots behind the ports; None: somebody else keeps it
    where: Where | None = None

    def back(self, port: str) -> str:
        """The port by which comes back what left by `port`."""
        return self.ports[self.ports.index(port) - 1]
