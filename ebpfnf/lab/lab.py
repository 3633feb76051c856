"""A lab: namespaces named ebpfnf-<lab>-<host>, and servers whose pids stand under /run/ebpfnf/lab/<lab>/.

Nothing else says what there is, so that whoever comes after a crash finds and removes all of it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ebpfnf.errors import AgentError, PrivilegeError
from ebpfnf.lab import namespaces, processes
from ebpfnf.lab.topology import DEMO, TOPOLOGIES, Host, Topology
from ebpfnf.names import KEBAB_WANTED, is_kebab
from ebpfnf.vm import HOME, emulator

STATE = Path("/run/ebpfnf/lab")
_PREFIX = "ebpfnf-"


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What is there of a host. server: the pid of its web server, 0 when it has none or it died."""

    name: str
    namespace: str
    up: bool
    addresses: tuple[str, ...]
    server: int


def labs() -> tuple[str, ...]:
    """The names of all labs of which anything is left."""
    found = {lab for name in namespaces.names() for lab, host in [_parts(name)] if host}
    found |= set(os.listdir(STATE)) if STATE.is_dir() else set()
    return tuple(sorted(found))


class Lab:
    """Several labs live side by side under different names. As a context manager it is gone at the end.

    topology: of a lab to be made, default DEMO; one that is up knows its own.
    """

    def __init__(self, name: str, topology: Topology | None = None) -> None:
        if not is_kebab(name):
            raise AgentError(f"lab name '{name}' is not {KEBAB_WANTED}")
        self.name = name
        self.topology = topology or _topology(STATE / name / "topology")
        self._children: list[subprocess.Popen[bytes]] = []

    def namespace(self, host: str) -> str:
        """The name of a host's namespace, for `--netns`."""
        return f"{_PREFIX}{self.name}-{host}"

    def up(self) -> None:
        """Builds all of it and starts the servers, or leaves nothing behind."""
        from ebpfnf.lab.wiring import wire  # pyroute2 is needed here only

        if self.name in labs():
            raise AgentError(f"lab '{self.name}' is up", cure=f"ebpfnf lab down --name {self.name}")
        try:
            (STATE / self.name).mkdir(parents=True)
        except FileExistsError:
            raise AgentError(f"lab '{self.name}' is being made by somebody else") from None
        except PermissionError:
            raise PrivilegeError(f"'{STATE}' can't be written", cure="run as root") from None
        try:
            (STATE / self.name / "topology").write_text(self.topology.name)
            for host in self.topology.hosts:
                namespaces.create(self.namespace(host.name))
            wire(self.topology, self.namespace)
            for host in self.topology.hosts:
                if host.serves:
                    self._serve(host)
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Removes whatever is left of the lab; nothing is fine too."""
        folder = STATE / self.name
        for file in folder.glob("*.pid"):
            processes.kill(file)
        for child in self._children:
            child.wait()
        self._children.clear()
        for name in namespaces.names():
            lab, host = _parts(name)
            if host and lab == self.name:
                _end_guests(Path(HOME) / str(namespaces.number(name)))
                namespaces.remove(name)
        shutil.rmtree(folder, ignore_errors=True)

    def enter(self, host: str) -> AbstractContextManager[None]:
        """The calling thread is on that host, with the machine's files and bpffs."""
        return namespaces.entered(self.namespace(host))

    def run_in(self, host: str, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """`subprocess.run` on that host."""
        with self.enter(host):
            return subprocess.run(argv, **options)

    def status(self) -> tuple[HostStatus, ...]:
        """What is there of each host."""
        there = namespaces.names()
        return tuple(
            HostStatus(
                host.name,
                self.namespace(host.name),
                self.namespace(host.name) in there,
                tuple(address for port in host.ports for address in port.addresses),
                processes.alive(STATE / self.name / f"{host.name}.pid"),
            )
            for host in self.topology.hosts
        )

    def _serve(self, host: Host) -> None:
        # the socket listens before the server runs, so nobody has to wait for it
        with (
            self.enter(host.name),
            socket.create_server(("::", host.serves), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024) as listener,
            (STATE / self.name / f"{host.name}.log").open("wb") as log,
        ):
            child = subprocess.Popen(
                [sys.executable, "-m", "ebpfnf.lab.server", host.name, str(listener.fileno())],
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children.append(child)
        processes.remember(STATE / self.name / f"{host.name}.pid", child.pid)

    def __enter__(self) -> Lab:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.down()


def _end_guests(home: Path) -> None:
    """What deployments in a namespace left of VMs: emulators, which would keep it, and files, which another of its number would find."""
    for file in home.glob("libvirt/run/qemu/*.pid"):
        if process := emulator.process(file):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    shutil.rmtree(home, ignore_errors=True)


def _parts(namespace: str) -> tuple[str, str]:
    """(lab, host) of a namespace's name; no host: it is none of ours."""
    lab, _, host = namespace.removeprefix(_PREFIX).rpartition("-")
    ours = namespace.startswith(_PREFIX) and lab and any(host == h.name for topology in TOPOLOGIES.values() for h in topology.hosts)
    return (lab, host) if ours else ("", "")


def _topology(file: Path) -> Topology:
    return TOPOLOGIES.get(file.read_text() if file.exists() else "", DEMO)
