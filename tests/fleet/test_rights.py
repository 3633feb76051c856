"""Hosts on which nobody is root: sudo for a user that came by ssh, and an agent with three capabilities and no way to more."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpfnf import bundle as bundles
from ebpfnf import pipeline
from ebpfnf.errors import PrivilegeError
from ebpfnf.fleet import inventory, remote
from ebpfnf.fleet.change import Fleet, parcels
from ebpfnf.fleet.inventory import Target
from ebpfnf.fleet.remote import SshHost
from ebpfnf.kernel.insn import XDP_PASS
from ebpfnf.lab.hosts import HostLab
from ebpfnf.lab.hosts_topology import line
from ebpfnf.model import Bundle
from tests.faults.bench import chain
from tests.fleet import rig

pytestmark = pytest.mark.fleet

HOSTS = Path(__file__).parents[2] / "hosts"
EDGE = HOSTS.parent / "examples" / "dc-edge" / "chain.yaml"
UNITS = {
    "ebpfnf.sysusers.conf": "/etc/sysusers.d/ebpfnf.conf",
    "ebpfnf.tmpfiles.conf": "/etc/tmpfiles.d/ebpfnf.conf",
    "ebpfnf.service": "/etc/systemd/system/ebpfnf.service",
}
CAPABILITIES = 1 << 12 | 1 << 38 | 1 << 39  # net_admin, perfmon, bpf
MANAGER = {"by": "somebody", "epoch": 1, "plan": "first"}


@pytest.fixture(scope="module")
def lab() -> Iterator[HostLab]:
    with HostLab(f"rights-{os.getpid()}", line(1)) as lab:
        rig.run(lab, "h1", "useradd -m -s /bin/sh -p '*' ops")
        yield lab


def target(lab: HostLab, tmp_path: Path, words: str) -> Target:
    """The machine, reached as the user `ops`."""
    file = tmp_path / "hosts.yaml"
    file.write_text(lab.inventory.read_text().replace("{user: root,", f"{{user: ops, {words},"))
    return inventory.load(file).select()[0]


def sent(host: SshHost, bundle: Bundle) -> dict:
    return parcels(bundle, [host.target], {})[host.name].payload(MANAGER)


@contextlib.contextmanager
def watched(lab: HostLab) -> Iterator[None]:
    """What the other unit says, word for word, as its user."""
    unit = dict(re.findall(r"^(ExecStart|StandardInputText|User)=(.*)$", (HOSTS / "ebpfnf-watch@.service").read_text(), re.MULTILINE))
    argv = shlex.join(remote.confined(unit["User"]))
    script = f"echo $$; exec {argv} {unit['ExecStart']}"
    with subprocess.Popen(lab.command("h1", ["sh", "-c", script]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        process.stdin.write(unit["StandardInputText"].replace("%i", rig.NAME))
        process.stdin.close()
        pid = process.stdout.readline().strip()
        try:
            yield
        finally:
            rig.run(lab, "h1", f"kill {pid}")


def test_sudo(lab: HostLab, tmp_path: Path) -> None:
    """Without a rule the refusal has its cure; with one all is as for root."""
    with SshHost(target(lab, tmp_path, "sudo: true")) as host:
        with pytest.raises(PrivilegeError, match=r"sudo on 'h1': a password is required") as refused:
            host.run("status", {})
        assert "allow it without a password" in refused.value.cure and refused.value.where
        rig.run(lab, "h1", "echo 'ops ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/ebpfnf")
        about = {"deployment": "t-sudo"}
        assert host.run("apply", sent(host, chain("t-sudo", XDP_PASS)))["changed"]
        assert host.run("status", about)["running"] and not host.run("reconcile", about)["changed"]
        assert host.run("undeploy", {**about, "manager": MANAGER})["changed"]
    with (
        SshHost(target(lab, tmp_path, "sudo: false")) as host,
        pytest.raises(PrivilegeError, match="connect as root, or with 'sudo: true'"),
    ):
        host.run("status", {})


def test_three_capabilities_are_enough(lab: HostLab, tmp_path: Path) -> None:
    """Deploy, look, change, mend, go back; and what the unit does at boot, as that user too."""
    for name, place in UNITS.items():
        rig.run(lab, "h1", f"mkdir -p {Path(place).parent}; cat > {place} <<'END'\n{(HOSTS / name).read_text()}\nEND")
    rig.run(
        lab,
        "h1",
        "echo 'ops ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/ebpfnf; rm -rf /var/lib/ebpfnf; rmdir /sys/fs/bpf/ebpfnf 2>/dev/null; true",
    )
    rig.run(lab, "h1", "systemd-sysusers ebpfnf.conf && systemd-tmpfiles --create ebpfnf.conf")
    about = {"deployment": rig.NAME}
    with Fleet([target(lab, tmp_path, "sudo: true, agent_user: ebpfnf")]) as fleet:
        (host,) = fleet.hosts.values()
        assert host.run("apply", sent(host, rig.bundle(1)))["changed"]
        status = rig.run(lab, "h1", "cat /proc/$(pgrep -n python3)/status")
        said = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
        assert set(said["Uid"]) == {rig.run(lab, "h1", "id -u ebpfnf").strip()} and said["NoNewPrivs"] == ["1"]
        assert {int(said[which][0], 16) for which in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {CAPABILITIES}
        assert host.run("apply", sent(host, rig.bundle(2)))["generation"] == 2
        assert host.run("status", about)["warnings"] == []
        assert not [each for each in host.run("doctor", {"interfaces": ["wan0"]}) if each["level"] == "error"]
        rig.run(lab, "h1", f"rm /sys/fs/bpf/ebpfnf/{rig.NAME}/ports/wan/link")
        assert host.run("reconcile", about)["changed"]
        assert host.run("rollback", {**about, "manager": MANAGER})["generation"] == 1
        assert host.run("status", about)["warnings"] == []
        assert host.run("undeploy", {**about, "manager": MANAGER})["changed"]
        edge = pipeline.build_file(EDGE)  # with a table that only root may open by its number
        fewer = tuple(dataclasses.replace(table, entries=table.entries[1:]) for table in edge.tables)
        for one in (edge, bundles.sealed(dataclasses.replace(edge, tables=fewer))):
            one = dataclasses.replace(one, ports=tuple(dataclasses.replace(p, interface=f"{p.name}0") for p in one.ports))
            assert host.run("apply", sent(host, bundles.sealed(one)))["changed"]
            assert host.run("status", {"deployment": edge.deployment})["warnings"] == []
        assert host.run("undeploy", {"deployment": edge.deployment, "manager": MANAGER})["changed"]
        assert host.run("apply", sent(host, rig.bundle(1)))["changed"]
    lab.crash("h1")
    lab.boot("h1")
    assert '"error"' not in rig.run(lab, "h1", "cat /var/lib/ebpfnf/boot.log")
    owners = rig.run(lab, "h1", "find /sys/fs/bpf/ebpfnf /var/lib/ebpfnf /run/ebpfnf ! -name boot.log -printf '%u\\n' | sort -u").split()
    assert owners == ["ebpfnf"]
    with SshHost(target(lab, tmp_path, "sudo: true, agent_user: ebpfnf")) as host:
        with watched(lab):
            rig.run(lab, "h1", f"rm /sys/fs/bpf/ebpfnf/{rig.NAME}/ports/wan/link")
            until = time.monotonic() + 10
            while not all(port["attached"] for port in host.run("status", about)["ports"]):
                assert time.monotonic() < until, "the watch does not attach it again"
        there = host.run("status", about)
        assert there["running"] and there["warnings"] == [] and all(port["attached"] for port in there["ports"])
        assert host.run("undeploy", {**about, "manager": MANAGER})["changed"]
        assert host.run("apply", sent(host, rig.bundle(1)))["changed"], "the folder of all pins is still that user's"


def test_the_units_are_what_systemd_reads() -> None:
    for name in ("ebpfnf.service", "ebpfnf-watch@edge.service"):
        done = subprocess.run(["systemd-analyze", "verify", str(HOSTS / name)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
