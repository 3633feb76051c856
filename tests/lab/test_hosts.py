"""Lab hosts: machines with a power switch, which leave nothing behind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpfnf.errors import AgentError, SpecErrors
from ebpfnf.lab import namespaces
from ebpfnf.lab.hosts import STATE, HostLab, host_labs
from ebpfnf.lab.hosts_topology import line, load

pytestmark = [pytest.mark.lab, pytest.mark.fleet]

TOPOLOGY = """\
machines: {a: [wan0, lan0], b: [eth0]}
ends: {probe: [eth0]}
cables: ["probe:eth0 a:wan0", "a:lan0 b:eth0"]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostLab]:
    file = tmp_path_factory.mktemp("topology") / "lab.yaml"
    file.write_text(TOPOLOGY)
    with HostLab(f"h{os.getpid()}", load(file)) as lab:
        yield lab


def on(lab: HostLab, host: str, script: str) -> str:
    return subprocess.run(lab.command(host, ["sh", "-c", script]), capture_output=True, text=True, check=True).stdout.strip()


def test_a_machine_is_its_own(lab: HostLab) -> None:
    assert on(lab, "a", "hostname") == "a"
    assert "efh" not in on(lab, "a", "ls /run /run/netns 2>/dev/null || true")
    on(lab, "a", "echo mine > /var/lib/mine; touch /etc/only-here")
    assert not Path("/etc/only-here").exists() and on(lab, "b", "ls /var/lib/mine 2>/dev/null || echo none") == "none"
    assert on(lab, "a", "ls /sys/class/net").split() == ["lan0", "lo", "mgmt0", "wan0"]
    assert on(lab, "a", "cat /sys/class/net/wan0/address") == "02:77:00:00:00:01"


def test_power(lab: HostLab) -> None:
    on(lab, "a", "echo kept > /var/lib/kept; touch /run/gone /tmp/gone")
    before = on(lab, "b", "cat /sys/class/net/eth0/ifindex")
    lab.crash("a")
    assert [machine.pid > 0 for machine in lab.status()] == [False, True]
    assert on(lab, "b", "cat /sys/class/net/eth0/ifindex") == before, "a dead neighbour takes no port with it"
    with pytest.raises(AgentError, match="'a' is off"):
        lab.command("a", ["true"])
    lab.boot("a")
    assert on(lab, "a", "cat /var/lib/kept; ls /run/gone /tmp/gone 2>/dev/null || true") == "kept"
    with pytest.raises(AgentError, match="'a' is on"):
        lab.boot("a")


def test_one_that_is_up_knows_itself(lab: HostLab) -> None:
    assert HostLab(lab.name).machines == lab.machines
    with pytest.raises(AgentError, match="is up"):
        HostLab(lab.name).up()
    assert [machine.pid > 0 for machine in lab.status()] == [True, True]


def test_nothing_is_left() -> None:
    name = f"gone{os.getpid()}"
    with HostLab(name, line(1)) as lab:
        pids = [machine.pid for machine in lab.status()]
        assert name in host_labs()
    assert name not in host_labs() and not any(name in each for each in namespaces.names())
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert str(STATE / name) not in Path("/proc/self/mounts").read_text()
    HostLab(name).down()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("machines: {a: [eth0]}\ncables: ['a:eth0 b:eth0']\n", r"lab\.yaml:2:10: no port 'b:eth0'"),
        ("machines: {a: [x], b: [x]}\ncables: ['a:x b:x', 'b:x a:x']\n", r":2:21: port 'b:x' has a cable already"),
        ("machines: {a: [x]}\nends: {a: [x]}\n", r":2:8: 'a' is a machine and an end"),
        ("machines: {a: [x]}\ncables: ['a:x']\n", r":2:10: cable 'a:x' \(wanted 'host:port host:port'\)"),
        ("machines: {}\n", "machines is empty"),
        ("machines: {'../x': [x]}\n", r"name '../x'"),
    ],
)
def test_a_topology_that_can_not_be(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "lab.yaml").write_text(text)
    with pytest.raises(SpecErrors, match=error):
        load(tmp_path / "lab.yaml")


def test_limits() -> None:
    for count in (0, 101):
        with pytest.raises(AgentError, match="1 to 100"):
            line(count)
    with pytest.raises(AgentError, match="lab name"):
        HostLab("../x")
