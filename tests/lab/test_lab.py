"""Protects: a lab comes up whole, carries traffic both ways, and leaves nothing behind, whatever happened to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from ebpfnf.errors import AgentError
from ebpfnf.lab import Lab, labs, namespaces
from ebpfnf.lab.frames import send, udp_frame
from ebpfnf.lab.http import fetch
from ebpfnf.lab.lab import STATE

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab():
    with Lab(f"t{os.getpid()}") as lab:
        yield lab


@pytest.mark.parametrize(("address", "source"), [("10.1.0.11", "192.0.2.9"), ("2001:db8:1::12", "2001:db8:ffff::9")])
def test_the_servers_answer_and_every_answer_is_checked(lab: Lab, address: str, source: str) -> None:
    lab.run_in("client", ["ip", "route", "replace", "10.1.0.0/24", "via", "192.0.2.1"], check=True)
    lab.run_in("client", ["ip", "route", "replace", "2001:db8:1::/64", "via", "2001:db8:ffff::1"], check=True)
    answers = fetch(lab, address, 200, port=8080, path="/a?b=%20", source=source)
    assert answers.ok and answers.sent == 200
    assert dict(answers.by_backend) == {"web1" if address.endswith("11") else "web2": 200}


def test_status_is_for_people_and_for_programs(lab: Lab) -> None:
    def said(*options: str) -> str:
        return subprocess.run([sys.executable, "-m", "ebpfnf.cli.main", "lab", "status", *options], stdout=-1, text=True, check=True).stdout

    (row,) = (words.split() for words in said().splitlines() if lab.namespace("web1") in words)
    assert [row[0], row[2], row[3]] == ["web1", "up", "pid"]
    assert {host["name"] for host in json.loads(said("-o", "json"))[lab.name]} >= {"client", "dut", "web1"}


def test_no_answer_is_a_failure_with_a_reason(lab: Lab) -> None:
    answers = fetch(lab, "198.51.100.7", 2, timeout=0.2)
    assert not answers.ok and sum(answers.failures.values()) == 2


def test_a_handmade_frame_is_taken_by_a_stack(lab: Lab) -> None:
    for source, destination in (("192.0.2.9", "192.0.2.1"), ("2001:db8:ffff::9", "2001:db8:ffff::1")):
        family = socket.AF_INET6 if ":" in destination else socket.AF_INET
        with lab.enter("dut"), socket.socket(family, socket.SOCK_DGRAM) as receiver:
            receiver.bind((destination, 5000))
            receiver.settimeout(3)
            frame = udp_frame("02:00:00:00:09:01", "02:00:00:00:02:01", source, 4000, destination, 5000, b"odd")
            assert send(lab, "client", "eth0", [frame]) == 1
            assert receiver.recv(100) == b"odd"


def test_entering_a_host_keeps_the_mounts_and_comes_back(lab: Lab) -> None:
    before = os.readlink("/proc/thread-self/ns/net"), os.readlink("/proc/thread-self/ns/mnt")
    with lab.enter("dut"):
        assert os.readlink("/proc/thread-self/ns/net") != before[0]
        assert os.readlink("/proc/thread-self/ns/mnt") == before[1]
    assert os.readlink("/proc/thread-self/ns/net") == before[0]


def test_status_shows_a_dead_server(lab: Lab) -> None:
    with Lab(f"d{os.getpid()}") as other:
        server = {host.name: host.server for host in other.status()}["web1"]
        assert server
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
        assert {host.name: host.server for host in other.status()}["web1"] == 0
    assert all(host.up for host in lab.status()), "labs side by side do not touch each other"


def test_a_second_lab_of_that_name_is_refused_and_the_first_stays(lab: Lab) -> None:
    with pytest.raises(AgentError, match="is up"):
        Lab(lab.name).up()
    assert all(host.up for host in lab.status())


def test_a_crashed_lab_is_found_and_removed() -> None:
    name = f"c{os.getpid()}"
    code = f"import os\nfrom ebpfnf.lab import Lab\nLab({name!r}).up()\nos.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert name in labs()
    servers = [host.server for host in Lab(name).status() if host.server]
    assert len(servers) == 2
    Lab(name).down()
    assert name not in labs() and not (STATE / name).exists()
    assert not [n for n in namespaces.names() if n.startswith(f"ebpfnf-{name}-")]
    assert not [pid for pid in servers if os.path.exists(f"/proc/{pid}/ns/net") and os.access(f"/proc/{pid}/exe", os.R_OK)]
    Lab(name).down()  # nothing left is fine too


def test_namespaces_of_others_are_no_labs() -> None:
    name = f"ebpfnf-other-{os.getpid()}"
    namespaces.create(name)
    try:
        assert "other" not in labs()
        Lab("other").down()
        assert name in namespaces.names()
    finally:
        namespaces.remove(name)


def test_a_reused_pid_is_not_killed() -> None:
    name = f"p{os.getpid()}"
    with subprocess.Popen(["sleep", "60"]) as innocent:
        try:
            (STATE / name).mkdir(parents=True)
            (STATE / name / "web1.pid").write_text(f"{innocent.pid} 1\n")
            Lab(name).down()
            assert innocent.poll() is None
        finally:
            innocent.kill()


@pytest.mark.parametrize("name", ["", "A", "a_b", "../x", "-a", "a" * 40])
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(AgentError, match="lab name"):
        Lab(name)
