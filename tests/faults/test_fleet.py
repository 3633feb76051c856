"""What may happen between hosts: each ends in the old or the new generation, and the same again converges."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpfnf.errors import AgentError, HostUnreachable, NotReached
from ebpfnf.fleet import inventory
from ebpfnf.fleet.change import Fleet, ask
from ebpfnf.fleet.gate import Gates
from ebpfnf.fleet.remote import SshHost
from ebpfnf.fleet.rollout import Policy, Rollout
from ebpfnf.lab.hosts import HostLab
from tests.fleet import rig
from tests.fleet.rig import NAME, fleet, running, sent

pytestmark = [pytest.mark.faults, pytest.mark.fleet]

QUICK = Policy(soak=0.0)


@pytest.fixture(scope="module")
def machines() -> Iterator[HostLab]:
    with HostLab(f"fault-{os.getpid()}") as lab:
        yield lab


@pytest.fixture
def lab(machines: HostLab) -> HostLab:
    rig.begin(machines, 1)
    return machines


def converges(lab: HostLab, mark: int) -> None:
    """The same again brings every host there, and once more changes nothing."""
    with fleet(lab) as found:
        assert Rollout(found, NAME, sent(found, mark), Policy(first=3, soak=0)).run().complete
        boxes = sent(found, mark)
        again = found.each(lambda host: host.run("apply", boxes[host.name].payload()))
        assert not [each.error for each in again if each.error] and not any(each.result["changed"] for each in again)


def test_silence_in_the_middle_of_a_command(lab: HostLab) -> None:
    """A cable is cut, an sshd stands still: the answer is lost, not the change: unknown, and asked again it is there."""
    with fleet(lab) as found:
        boxes, begun = sent(found, 2), set[str]()

        def silenced(host: SshHost) -> None:
            trouble = lab.cut if host.name == "h2" else lab.freeze

            def silence(event: dict) -> None:
                if host.name not in begun:
                    trouble(host.name)
                begun.add(host.name)

            with pytest.raises(HostUnreachable, match="what happened there is unknown") as told:
                host.run("apply", boxes[host.name].payload(), silence)
            assert host.name in begun and not isinstance(told.value, NotReached)
            with pytest.raises(NotReached, match="nothing was done there"):
                host.run("status", {})
            trouble(host.name, on=host.name == "h2")
            digests = {rig.digest(found, host.name, mark) for mark in (1, 2)}
            assert host.run("status", {"deployment": NAME})["digest"] in digests

        assert [each.error for each in found.each(silenced, ("h2", "h3"))] == [None, None]
    converges(lab, 2)


def test_a_partition_holds_up_no_other(lab: HostLab) -> None:
    lab.cut("h1")
    with fleet(lab) as found:
        boxes = sent(found, 2)
        outcomes = {each.host: each for each in found.each(lambda host: ask(host, "apply", boxes[host.name].payload()))}
        assert isinstance(outcomes["h1"].error, NotReached) and outcomes["h2"].result["changed"] and outcomes["h3"].result["changed"]
    lab.cut("h1", on=True)
    assert running(lab) == {"h1": 1, "h2": 2, "h3": 2}
    converges(lab, 2)


def test_a_third_of_the_packets_lost(lab: HostLab) -> None:
    lab.loss("h2", 30)
    with fleet(lab) as found:
        boxes = sent(found, 2)
        outcomes = {each.host: each for each in found.each(lambda host: ask(host, "apply", boxes[host.name].payload()))}
    assert outcomes["h1"].error is None is outcomes["h3"].error
    assert outcomes["h2"].error is None or isinstance(outcomes["h2"].error, HostUnreachable)
    lab.loss("h2", 0)
    assert running(lab)["h2"] in ((2,) if outcomes["h2"].error is None else (1, 2))
    converges(lab, 2)


@pytest.mark.parametrize(("known", "words"), [("another", "another host key"), ("none", "a host key that is not known")])
def test_a_wrong_host_key(lab: HostLab, tmp_path: Path, known: str, words: str) -> None:
    keys = (lab.folder / "known_hosts").read_text()
    (tmp_path / "known").write_text(
        keys.replace("10.66.0.11 ", "10.66.9.9 ").replace("10.66.0.12 ", "10.66.0.11 ") if known == "another" else ""
    )
    (tmp_path / "hosts.yaml").write_text(lab.inventory.read_text().replace(f"{lab.folder}/known_hosts", "known"))
    with Fleet(inventory.load(tmp_path / "hosts.yaml").select("h1")) as found, pytest.raises(NotReached, match=words):
        found.hosts["h1"].run("status", {})


def test_a_key_that_the_host_does_not_know(lab: HostLab, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    (tmp_path / "hosts.yaml").write_text(lab.inventory.read_text().replace(f"{lab.folder}/id", "key"))
    with Fleet(inventory.load(tmp_path / "hosts.yaml").select("h1")) as found, pytest.raises(NotReached, match="none of our keys"):
        found.hosts["h1"].run("status", {})


def test_a_host_that_dies_in_a_rollout(lab: HostLab) -> None:
    def watch(host: str, words: str) -> None:
        if (host, words) == ("h2", "apply: load"):
            lab.crash("h2")

    with fleet(lab) as found:
        report = Rollout(found, NAME, sent(found, 2), QUICK, watch).run()
    assert report.hosts == {"h1": "rolled back", "h2": "unknown", "h3": "untouched"} and "h2" in report.why
    lab.boot("h2")
    assert running(lab) == {"h1": 1, "h2": 1, "h3": 1}
    converges(lab, 2)


def test_a_host_that_reboots_in_a_rollout_goes_back_too(lab: HostLab) -> None:
    """Its pins of the generation before are gone with the power, its disk has the bundle."""
    booted: list[str] = []

    def watch(host: str, words: str) -> None:
        if (host, words) == ("h2", "apply") and not booted:
            booted.append("h1")
            lab.crash("h1")
            lab.boot("h1")

    with fleet(lab) as found:
        report = Rollout(found, NAME, sent(found, 2), Policy(soak=0, gates=Gates(check='test "$EBPFNF_HOST" = h1')), watch).run()
    assert report.hosts == {"h1": "rolled back", "h2": "rolled back", "h3": "untouched"}
    assert running(lab) == {"h1": 1, "h2": 1, "h3": 1}
    lab.crash("h1")
    lab.boot("h1")
    assert running(lab)["h1"] == 1


def test_what_a_rollout_only_mends_does_not_go_back(lab: HostLab) -> None:
    """What is sent runs on h1 already, a port lost its program: attached again, not found well, the host keeps what it ran."""
    rig.begin(lab, 2)
    rig.run(lab, "h1", "rm /sys/fs/bpf/ebpfnf/hot-swap/ports/wan/link")
    with fleet(lab) as found:
        report = Rollout(found, NAME, sent(found, 2), Policy(soak=0, gates=Gates(check="false"))).run()
    assert report.hosts == {"h1": "failed", "h2": "untouched", "h3": "untouched"}
    assert running(lab) == {"h1": 2, "h2": 2, "h3": 2}


def test_an_agent_that_dies_in_a_rollout(lab: HostLab) -> None:
    """After its flip: what runs is new, what the disk says is old. It goes back, and the disk agrees."""
    with fleet(lab, environment={"h2": {"EBPFNF_FAILPOINT": "unkept"}}) as found:
        report = Rollout(found, NAME, sent(found, 2), QUICK).run()
    assert report.hosts["h2"] in ("unknown", "rolled back") and report.hosts["h3"] == "untouched"
    converges(lab, 3)
    lab.crash("h2")
    lab.boot("h2")
    assert running(lab) == {"h1": 3, "h2": 3, "h3": 3}


def test_a_full_disk(lab: HostLab) -> None:
    rig.run(lab, "h1", "dd if=/dev/zero of=/var/lib/full bs=64k 2>/dev/null || true")
    with fleet(lab) as found, pytest.raises(AgentError, match="no host was changed"):
        Rollout(found, NAME, sent(found, 2), QUICK).run()
    rig.run(lab, "h1", "rm -rf /var/lib/ebpfnf/agent; while ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q pyz; do sleep 0.05; done")
    rig.run(lab, "h1", "dd if=/dev/zero of=/var/lib/full bs=64k 2>/dev/null; dd if=/dev/zero of=/var/lib/full2 bs=512 2>/dev/null || true")
    assert running_without_agent(lab)
    rig.run(lab, "h1", "rm -f /var/lib/full /var/lib/full2")
    assert running(lab) == {"h1": 1, "h2": 1, "h3": 1}
    converges(lab, 2)


def running_without_agent(lab: HostLab) -> bool:
    """Whether h1 says that it has no room, rather than something that only looks like it."""
    with fleet(lab, "h1") as found, pytest.raises(AgentError, match="'h1' does not take the agent: no place for the agent"):
        found.hosts["h1"].run("status", {})
    return True


def test_two_managers(lab: HostLab) -> None:
    """The later one has the higher epoch; the earlier one is refused on every host from then on, and undoes nothing of the other's."""
    others: list[str] = []

    def watch(host: str, words: str) -> None:
        if (host, words) == ("h2", "apply") and not others:
            others.append("began")
            with fleet(lab) as found:
                assert Rollout(found, NAME, sent(found, 3), QUICK).run().complete

    with fleet(lab) as found:
        report = Rollout(found, NAME, sent(found, 2), QUICK, watch).run()
    assert report.hosts["h2"] == "failed" and "was claimed by" in report.why["h2"] and report.hosts["h3"] == "untouched"
    assert running(lab) == {"h1": 3, "h2": 3, "h3": 3}
