"""Lab hosts: machines of namespaces on this machine, each with its own processes, files, /run, bpffs, sshd and host key.

    with HostLab("try", line(3)) as lab:
        fleet = inventory.load(lab.inventory).select()
        lab.crash("h2"); lab.boot("h2")

Namespaces are efh-<lab>-<host>, all else is under /run/ebpfnf/hosts/<lab>/: whoever comes after a crash finds and removes it.
A machine's disk is a small tmpfs that outlives it; its /run, /tmp and pins go when the power goes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ebpfnf.bundle import from_json, to_json
from ebpfnf.errors import AgentError, PrivilegeError
from ebpfnf.lab import namespaces, processes
from ebpfnf.lab.hosts_switch import MANAGEMENT, Switch
from ebpfnf.lab.hosts_topology import Machines, line
from ebpfnf.lab.topology import Topology
from ebpfnf.names import KEBAB_WANTED, is_kebab

STATE = Path("/run/ebpfnf/hosts")
DISK = "64m"
_INIT = Path(__file__).with_name("hosts_init.sh")
_SSHD = Path("/usr/sbin/sshd")
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """A machine: the address of its sshd, and the pid of its first process, 0 when it is off."""

    name: str
    address: str
    pid: int


def host_labs() -> tuple[str, ...]:
    """The names of all labs of hosts of which anything is left."""
    try:
        return tuple(sorted(os.listdir(STATE))) if STATE.is_dir() else ()
    except PermissionError:
        raise PrivilegeError(f"'{STATE}' can't be read", cure="run as root") from None


class HostLab:
    """Several labs live side by side under different names. As a context manager it is gone at the end.

    machines: of a lab to be made, default a row of three; one that is up knows its own.
    """

    def __init__(self, name: str, machines: Machines | None = None) -> None:
        if not is_kebab(name):
            raise AgentError(f"lab name '{name}' is not {KEBAB_WANTED}")
        self.name, self.folder = name, STATE / name
        self.machines = machines or _machines(self.folder / "topology") or line(3)
        self.switch = Switch(self.machines, f"efh-{name}-switch", self.namespace)
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def topology(self) -> Topology:
        """All hosts and cables."""
        return self.machines.topology

    @property
    def inventory(self) -> Path:
        """The file that names the machines for `--hosts`."""
        return self.folder / "hosts.yaml"

    def namespace(self, host: str) -> str:
        """The name of a host's network namespace."""
        return f"efh-{self.name}-{host}"

    def up(self) -> None:
        """Builds all of it and boots the machines, or leaves nothing behind."""
        if not _SSHD.exists():
            raise AgentError(f"no {_SSHD}", cure="apt-get install openssh-server")
        try:
            STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir()
        except FileExistsError:
            raise AgentError(f"lab '{self.name}' is up", cure=f"ebpfnf lab down --name {self.name}") from None
        except PermissionError:
            raise PrivilegeError(f"'{STATE}' can't be written", cure="run as root") from None
        try:
            (self.folder / "topology").write_text(json.dumps(to_json(self.machines)))
            _ssh_key(self.folder / "id")
            self.switch.up()
            for host in self.topology.hosts:
                self.switch.plug(host.name)
            for machine in self.machines.machines:
                self._install(machine)
                self._start(machine)
            self._write_inventory()
            for machine in self.machines.machines:
                self._wait(machine)
            self.switch.settle(tuple(host.name for host in self.topology.hosts))
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Removes whatever is left of the lab; nothing is fine too."""
        for machine in self.machines.machines:
            self._power_off(machine)
        for name in namespaces.names():
            if name.startswith(f"efh-{self.name}-"):
                namespaces.remove(name)
        for disk in self.folder.glob("*/disk"):
            subprocess.run(["umount", "-l", str(disk)], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def crash(self, machine: str) -> None:
        """Cuts the power: every process, /run, pins and ports are gone at once, the disk stays."""
        self._power_off(self._known(machine))
        self.switch.unplug(machine)

    def boot(self, machine: str) -> None:
        """Gives it power: what its disk says ran before runs again, before its ports are up."""
        if processes.alive(self.folder / self._known(machine) / "machine"):
            raise AgentError(f"'{machine}' is on", cure=f"ebpfnf lab crash {machine}")
        self.switch.unplug(machine)
        self.switch.plug(machine)
        self._start(machine)
        self._wait(machine)
        self.switch.settle((machine,))

    def cut(self, machine: str, port: str = MANAGEMENT, *, on: bool = False) -> None:
        """Its cable carries nothing any more, or (`on`) does so again."""
        ports = [MANAGEMENT, *(each.name for each in self.topology.host(self._known(machine)).ports)]
        if port not in ports:
            raise AgentError(f"no port '{port}' on '{machine}'", cure="it has " + ", ".join(ports))
        self.switch.carry(machine, port, on)

    def loss(self, machine: str, percent: int) -> None:
        """Loses that share of the packets by which it is managed, both ways."""
        if not 0 <= percent <= 100:
            raise AgentError(f"{percent} percent", cure="0 to 100")
        self.switch.lose(self._known(machine), percent)

    def freeze(self, machine: str, *, on: bool = True) -> None:
        """Its sshd stands still, connections included, or (not `on`) goes on."""
        for pid in processes.below(processes.alive(self.folder / self._known(machine) / "machine")):
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().startswith("sshd"):
                    os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT)

    def enter(self, host: str) -> AbstractContextManager[None]:
        """The calling thread is in that host's network, with this machine's files."""
        return namespaces.entered(self.namespace(host))

    def command(self, host: str, argv: list[str]) -> list[str]:
        """What runs a command on a host: on a machine with its files and processes."""
        if host not in self.machines.machines:
            return ["nsenter", f"--net={namespaces.FOLDER / self.namespace(host)}", *argv]
        pid = processes.alive(self.folder / host / "machine")
        if not pid:
            raise AgentError(f"'{host}' is off", cure=f"ebpfnf lab boot {host}")
        return ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "-r", "-w", *argv]

    def status(self) -> tuple[MachineStatus, ...]:
        """What is there of each machine."""
        return tuple(
            MachineStatus(m, self.machines.address(m), processes.alive(self.folder / m / "machine")) for m in self.machines.machines
        )

    def _known(self, machine: str) -> str:
        if machine not in self.machines.machines:
            raise AgentError(f"no machine '{machine}' in lab '{self.name}'", cure="there are: " + ", ".join(self.machines.machines))
        return machine

    def _install(self, machine: str) -> None:
        folder = self.folder / machine
        (folder / "disk").mkdir(parents=True)
        _ssh_key(folder / "hostkey")
        shutil.copy(self.folder / "id.pub", folder / "authorized")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", str(folder / "disk")], check=True)

    def _start(self, machine: str) -> None:
        folder = self.folder / machine
        (folder / "pid").unlink(missing_ok=True)
        cable = {end for each in self.topology.cables for end in (each.a, each.b)}
        ports = [port.name for port in self.topology.host(machine).ports if f"{machine}:{port.name}" in cable]
        spaces = ["unshare", "-m", "-u", "-p", "-i", "-f", "--propagation", "private"]
        argv = [*spaces, "sh", str(_INIT), machine, str(folder), self.machines.address(machine), MANAGEMENT, *ports]
        with self.enter(machine), (folder / "console.log").open("wb") as log:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._children.append(child)

    def _wait(self, machine: str) -> None:
        """Until its sshd listens."""
        folder, until = self.folder / machine, time.monotonic() + _PATIENCE
        while not (folder / "pid").exists() or b"Server listening" not in (folder / "console.log").read_bytes():
            if time.monotonic() > until:
                raise AgentError(f"lab host '{machine}' does not boot: {(folder / 'console.log').read_text()[-300:].strip()}")
            time.sleep(0.01)
        processes.remember(folder / "machine", int((folder / "pid").read_text()))

    def _power_off(self, machine: str) -> None:
        folder = self.folder / machine
        with suppress(OSError, ValueError):  # one that never came as far as `_wait`
            if not (folder / "machine").exists():
                processes.remember(folder / "machine", int((folder / "pid").read_text()))
        processes.kill(folder / "machine")
        for name in ("machine", "pid"):
            (folder / name).unlink(missing_ok=True)
        for child in list(self._children):
            with suppress(subprocess.TimeoutExpired):
                child.wait(0.05 if child.poll() is None else None)
                self._children.remove(child)

    def _write_inventory(self) -> None:
        known = []
        lines = [
            "ebpfnf: 1",
            f"vars: {{user: root, key: {self.folder}/id, known_hosts: {self.folder}/known_hosts, netns: {self.switch.name}}}",
        ]
        lines.append("hosts:")
        for machine in self.machines.machines:
            address = self.machines.address(machine)
            known.append(f"{address} {(self.folder / machine / 'hostkey.pub').read_text().rpartition(' ')[0]}")
            ports = ", ".join(f"{p.name.rstrip('0')}: {p.name}" for p in self.topology.host(machine).ports if p.name.rstrip("0"))
            lines.append(f"  {machine}: {{address: {address}, ports: {{{ports}}}}}")
        (self.folder / "known_hosts").write_text("\n".join(known) + "\n")
        self.inventory.write_text("\n".join(lines) + "\n")

    def __enter__(self) -> HostLab:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.down()


def _machines(file: Path) -> Machines | None:
    try:
        found: Machines = from_json(Machines, json.loads(file.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found


def _ssh_key(file: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", file.name, "-f", str(file)], check=True, stdin=subprocess.DEVNULL)
