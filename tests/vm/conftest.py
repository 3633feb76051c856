"""A host made of a network namespace and a bpffs of its own: what is started in it is gone with it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ebpfnf.agent import apply, machines
from ebpfnf.agent.observe import live_generation, observe, read_totals
from ebpfnf.agent.status import status
from ebpfnf.bundle import encode
from ebpfnf.kernel import insn, links, programs
from ebpfnf.kernel.pins import Pins
from ebpfnf.model import Bundle
from ebpfnf.vm import domain, lifecycle
from ebpfnf.vm.native import Native
from tests.kernel.netns import namespace
from tests.vm import deployments
from tests.vm.streams import DENY, IMAGE


@dataclass(slots=True)
class Host:
    """The calling thread is inside. Port a is a0, b is b0; a1 and b1 are the world outside."""

    name: str
    links: list[int] = field(default_factory=list)

    def agent(self, command: str, data: bytes) -> str:
        """A command by a process of its own, which lets go of libvirt when it ends."""
        environment = {**os.environ, "PYTHONPATH": os.getcwd()}
        command_line = [sys.executable, "-m", "ebpfnf.agent", command]
        return subprocess.run(command_line, input=data, check=True, capture_output=True, env=environment).stdout.decode()

    def bundle(self, params: str = "", node: tuple[str, str] = deployments.PACK) -> Bundle:
        """Our deployment with these parameters."""
        return deployments.bundle(params, name=self.name, ports=("a0", "b0"), node=node)

    def deploy_apart(self, params: str = "", node: tuple[str, str] = deployments.PACK) -> None:
        """As `deploy`, by a process of its own."""
        self.agent("apply", encode(self.bundle(params, node)))

    def deploy(self, params: str = "", node: tuple[str, str] = deployments.PACK) -> apply.Result:
        """Make it run, with these parameters."""
        return apply.apply(self.bundle(params, node))

    def status(self) -> dict[str, Any]:
        """What a person is told."""
        return status(observe(self.name))

    def counter(self, name: str) -> int:
        """One counter's sum."""
        at = Pins(self.name)
        return read_totals(at, live_generation(at)).counters.get(name, 0)

    def machines(self) -> tuple[lifecycle.Seen, ...]:
        """The VMs that are here."""
        return lifecycle.seen(self.name)

    def names(self) -> list[str]:
        """Of its VMs, as the live generation needs them: libvirt is not asked, which a watch may be using."""
        at = Pins(self.name)
        return [str(name) for vm in machines.needs(at.generation(live_generation(at))) for name in lifecycle.names(self.name, vm)]

    def received(self, interface: str) -> int:
        """Frames that an interface has had."""
        table = Path("/proc/thread-self/net/dev").read_text()
        return int(next(line for line in table.splitlines() if line.strip().startswith(interface)).split()[2])

    def socket(self, interface: str) -> socket.socket:
        """All frames of an interface."""
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        made.bind((interface, 0))
        made.settimeout(2)
        return made


def emulator(host: Host) -> int:
    """The process id of the first VM's emulator, 0 where there is none."""
    machine = host.names()[0]
    found = subprocess.run(["pgrep", "-f", f"guest={machine},"], capture_output=True, text=True).stdout.split()
    return int(found[0]) if found else 0


@pytest.fixture(scope="session", autouse=True)
def roots() -> Iterator[None]:
    """What libvirt wrote is gone with the tests."""
    yield
    for kind in ("tests", "watch"):
        shutil.rmtree(f"/run/ebpfnf/vms/{kind}-{os.getpid()}", ignore_errors=True)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host of the test's own."""
    with a_host(tmp_path, monkeypatch) as made:
        yield made


@contextlib.contextmanager
def a_host(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """With pairs of interfaces; afterwards no VM, pin or interface of it is there."""
    place = folder / "bpf"
    place.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(place)], check=True)
    monkeypatch.setenv("EBPFNF_BPFFS", str(place))
    # libvirt's driver in a process serves one root until the process ends
    root = f"qemu:///embed?root=/run/ebpfnf/vms/tests-{os.getpid()}"
    monkeypatch.setenv("EBPFNF_LIBVIRT", root)
    made = Host(f"vm-{uuid.uuid4().hex[:8]}")
    try:
        with namespace():
            for port in "ab":
                subprocess.run(f"ip link add {port}0 type veth peer name {port}1".split(), check=True)
                for end in "01":
                    subprocess.run(f"ip link set {port}{end} up".split(), check=True)
            passing = programs.load(insn.leave(insn.XDP_PASS), "pass")
            for port in "ab":  # native redirects into a veth want a program behind it
                made.links.append(links.create_xdp(passing, socket.if_nametoindex(f"{port}1"), "native"))
            os.close(passing)
            home = domain.home()
            try:
                yield made
            finally:
                if os.environ["EBPFNF_LIBVIRT"] == root:
                    with contextlib.suppress(Exception):
                        apply.undeploy(made.name)
                    lifecycle.stop([each.name for each in made.machines()])
                else:
                    made.agent("undeploy", json.dumps({"deployment": made.name}).encode())
                shutil.rmtree(home, ignore_errors=True)
                while made.links:
                    os.close(made.links.pop())
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def wall() -> Iterator[Native]:
    """The application firewall for streams, as a process."""
    with Native(IMAGE, DENY) as native:
        yield native
