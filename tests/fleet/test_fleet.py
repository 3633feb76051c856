"""Several hosts over real ssh: a deployment on all of them, one host's trouble is not the others', swaps lose no packet."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import threading
from pathlib import Path
from unittest import mock

import pytest

from ebpfnf.cli import main
from ebpfnf.errors import AgentError, NotReached
from ebpfnf.fleet import inventory, ship
from ebpfnf.fleet.change import Fleet, change, parcels, unwatched
from ebpfnf.fleet.gate import Gates
from ebpfnf.fleet.remote import SshHost
from ebpfnf.fleet.rollout import Policy, Rollout
from ebpfnf.lab.hosts import HostLab
from ebpfnf.lab.traffic import Load, Result
from tests.fleet import rig
from tests.fleet.rig import EXAMPLE, NAME, bundle, fleet, running, sent

pytestmark = pytest.mark.fleet

QUICK = Policy(soak=0.0)


def ebpfnf(*words: str) -> tuple[int, str, str]:
    """The command line, in this process: it starts in no time; tests/docs runs the real one."""
    out, complaint = io.StringIO(), io.StringIO()
    with mock.patch.object(sys, "argv", ["ebpfnf", *words]), contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaint):
        code = main.run()
    return code, out.getvalue(), complaint.getvalue()


def deploy(lab: HostLab, mark: int) -> list[dict]:
    with fleet(lab) as found:
        boxes = sent(found, mark)
        outcomes = change(found, NAME, "apply", lambda name, manager: boxes[name].payload(manager), f"plan-{mark}", unwatched)
    assert not [each.error for each in outcomes if each.error]
    return [each.result for each in outcomes]


def test_verbs_on_all_hosts(lab: HostLab) -> None:
    hosts, other = f"--hosts={lab.inventory}", str(EXAMPLE.parent / "next" / "stamp")
    code, _, complaint = ebpfnf("swap", str(EXAMPLE), "path.third", "--with", other, f"{hosts}:h3")
    assert code and "does not run here" in complaint and set(running(lab).values()) == {0}
    code, out, _ = ebpfnf("deploy", str(EXAMPLE), hosts, "-o", "json")
    assert code == 0 and {each["result"]["generation"] for each in json.loads(out)["hosts"].values()} == {1}
    code, out, _ = ebpfnf("deploy", str(EXAMPLE), hosts, "-o", "json")
    assert code == 0 and not any(each["result"]["changed"] for each in json.loads(out)["hosts"].values())
    assert ebpfnf("plan", str(EXAMPLE), hosts, "--detailed-exitcode")[0] == 0
    assert ebpfnf("drift", str(EXAMPLE), hosts)[0] == 0
    assert ebpfnf("swap", str(EXAMPLE), "path.third", "--with", other, f"{hosts}:h2")[0] == 0
    code, out, _ = ebpfnf("drift", str(EXAMPLE), hosts, "-o", "json")
    differing = json.loads(out)["hosts"]
    assert code == 2 and [name for name, words in differing.items() if words] == ["h2"]
    assert ebpfnf("rollback", NAME, f"{hosts}:h2", "-y")[0] == 0
    assert ebpfnf("drift", str(EXAMPLE), hosts)[0] == 0
    code, out, _ = ebpfnf("history", NAME, f"{hosts}:h2", "-o", "json")
    ended = [entry for entry in json.loads(out)["hosts"]["h2"]["result"] if "begun" not in entry]
    assert [(entry["verb"], entry["epoch"]) for entry in ended] == [("apply", 2), ("apply", 2), ("apply", 3), ("rollback", 4)]
    assert all("@" in entry["by"] for entry in ended)
    code, out, _ = ebpfnf("status", hosts, "-o", "json")
    assert code == 0 and [len(each["result"]) for each in json.loads(out)["hosts"].values()] == [1, 1, 1]
    code, out, _ = ebpfnf("table", "dump", NAME, "framework.classify.chains", hosts, "-o", "json")
    assert code == 0 and all(each["result"] for each in json.loads(out)["hosts"].values())
    assert ebpfnf("doctor", hosts)[0] == 0
    assert ebpfnf("undeploy", NAME, hosts, "-y")[0] == 0
    assert running(lab) == {"h1": 0, "h2": 0, "h3": 0}
    assert rig.run(lab, "h1", "ls /sys/fs/bpf /var/lib/ebpfnf/hot-swap").split() == [
        *("/sys/fs/bpf:", "maps.debug", "progs.debug", "/var/lib/ebpfnf/hot-swap:", "claim", "log"),
    ]


def test_a_plan_tells_what_each_host_warns_of(lab: HostLab, tmp_path: Path) -> None:
    """An output whose other end takes no redirected frames."""
    rig.run(lab, "h1", "ip link add deaf0 type veth peer name deaf1 && ip link set deaf0 up && ip link set deaf1 up")
    file = tmp_path / "hosts.yaml"
    file.write_text(lab.inventory.read_text().replace("lan0", "deaf0"))
    _, _, err = ebpfnf("plan", str(EXAMPLE), f"--hosts={file}:h1")
    rig.run(lab, "h1", "ip link del deaf0")
    assert "warning: h1: port 'lan': 'deaf0' takes no frames" in err


def test_a_dead_host_holds_up_no_other_and_comes_back_as_it_was(lab: HostLab) -> None:
    deploy(lab, 1)
    lab.crash("h2")
    code, out, _ = ebpfnf("status", NAME, f"--hosts={lab.inventory}", "-o", "json")
    told = json.loads(out)["hosts"]
    assert code == 4 and "nothing was done there" in told["h2"]["error"]["error"] and told["h1"]["result"]["running"]
    assert ebpfnf("status", NAME, f"--hosts={lab.inventory}:h2")[0] == 69
    lab.boot("h2")
    assert running(lab) == {"h1": 1, "h2": 1, "h3": 1}
    assert not deploy(lab, 1)[1]["changed"]


def test_rolling_swaps_under_traffic_lose_nothing(lab: HostLab) -> None:
    """A packet passes all three hosts, which go from one generation to the next one by one."""
    deploy(lab, 1)
    done, results = threading.Event(), list[Result]()
    with Load(lab, [bytes([mark] * 5) for mark in (1, 2, 3)]) as load:
        traffic = threading.Thread(target=lambda: results.append(load.run(50_000, done)))
        traffic.start()
        try:
            for mark in (2, 3):
                with fleet(lab) as found:
                    assert Rollout(found, NAME, sent(found, mark), Policy(soak=0.2)).run().complete
        finally:
            done.set()
            traffic.join()
    (result,) = results
    assert (result.lost, result.mixed, result.intact) == (0, 0, True)
    assert all(result.by_pattern.values()), "every generation handled some"


def test_a_host_that_is_not_well_sends_the_rollout_back(lab: HostLab) -> None:
    deploy(lab, 1)
    back = {"h1": "rolled back", "h2": "rolled back", "h3": "untouched"}
    stays = {"h1": "failed", "h2": "untouched", "h3": "untouched"}
    for policy, states in (
        (Policy(soak=0, gates=Gates(check='test "$EBPFNF_HOST" = h1')), back),
        (Policy(soak=0, gates=Gates(check="echo no >&2; false"), on_failure="stop"), stays),
    ):
        with fleet(lab) as found:
            report = Rollout(found, NAME, sent(found, 2), policy).run()
        assert report.hosts == states
        assert running(lab) == {name: 2 if state == "failed" else 1 for name, state in states.items()}
        assert "the check failed with 1" in "".join(report.why.values())


def test_a_first_deployment_that_goes_wrong_leaves_nothing(lab: HostLab) -> None:
    with fleet(lab) as found:
        report = Rollout(found, NAME, sent(found, 1), Policy(soak=0, gates=Gates(check="false"))).run()
    assert report.hosts["h1"] == "rolled back" and running(lab) == {"h1": 0, "h2": 0, "h3": 0}


def test_signed_bundles(lab: HostLab, tmp_path: Path) -> None:
    key, other = tmp_path / "key", tmp_path / "other"
    for file in (key, other):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    rig.run(lab, "h1", f"mkdir -p /etc/ebpfnf; echo 'ebpfnf {key.with_suffix('.pub').read_text().strip()}' > /etc/ebpfnf/allowed_signers")
    with fleet(lab, "h1") as found:
        (host,) = found.hosts.values()

        def apply(mark: int, signer: Path | None, **more: object) -> dict:
            box = parcels(bundle(mark), [host.target], {}, signer)["h1"].payload()
            if more:
                box["signature"] = {**box["signature"], **more}
            return host.run("apply", box)

        for signer, error in ((None, "takes signed bundles only"), (other, "not by a signer that this host knows")):
            with pytest.raises(AgentError, match=error):
                apply(1, signer)
        with pytest.raises(AgentError, match="not by a signer"):
            apply(1, key, sequence=2**40)
        old = parcels(bundle(1), [host.target], {}, key)["h1"].payload()
        assert host.run("apply", old)["changed"] and not host.run("apply", old)["changed"]
        newer = dict(old)
        while newer["signature"]["sequence"] == old["signature"]["sequence"]:  # a second is the unit
            newer = parcels(bundle(2), [host.target], {}, key)["h1"].payload()
        assert host.run("apply", newer)["changed"]
        with pytest.raises(AgentError, match="the bundle is older"):
            host.run("apply", old)
        assert running(lab)["h1"] == 2


def test_over_another_host(lab: HostLab, tmp_path: Path) -> None:
    text = lab.inventory.read_text().replace("{address: 10.66.0.12", "{netns: nowhere, jump: h1, address: 10.66.0.12")
    (tmp_path / "hosts.yaml").write_text(text)
    with Fleet(inventory.load(tmp_path / "hosts.yaml").select("h2")) as found:
        assert found.hosts["h2"].run("status", {}) == []
    with SshHost(inventory.load(tmp_path / "hosts.yaml").select("h2")[0].jump) as jump:
        assert jump.run("status", {}) == []


def test_the_agent_is_its_content(lab: HostLab) -> None:
    ship.agent.cache_clear()
    first = ship.agent()
    ship.agent.cache_clear()
    assert ship.agent() == first
    rig.run(lab, "h1", "rm -rf /var/lib/ebpfnf/agent")
    with fleet(lab, "h1") as found:
        assert found.hosts["h1"].run("status", {}) == []
    assert set(rig.run(lab, "h1", "ls /var/lib/ebpfnf/agent").split()) == {f"{first.digest}.pyz", "current.pyz"}
    assert "key" not in rig.run(lab, "h1", "cat /var/lib/ebpfnf/boot.log 2>/dev/null || true")


def test_no_such_netns(lab: HostLab, tmp_path: Path) -> None:
    (tmp_path / "hosts.yaml").write_text(lab.inventory.read_text().replace("netns: efh", "netns: nowhere-efh"))
    with Fleet(inventory.load(tmp_path / "hosts.yaml").select("h1")) as found, pytest.raises(NotReached, match="no network namespace"):
        found.hosts["h1"].run("status", {})


def test_a_chain_that_names_its_hosts(lab: HostLab, tmp_path: Path) -> None:
    """`place:` is where deploy acts; --hosts overrules it."""
    (tmp_path / "hosts.yaml").write_text(lab.inventory.read_text())
    chain = (EXAMPLE.parent.parent / "fleet" / "chain.yaml").read_text()
    file = tmp_path / "chain.yaml"
    file.write_text(chain.replace("deployment: fleet-edge", f"deployment: {NAME}") + "\nplace: {hosts: 'hosts.yaml:h3'}\n")
    code, out, _ = ebpfnf("test", str(file), f"--hosts={lab.inventory}", "-o", "json")
    assert code == 0 and json.loads(out)["hosts"] == {name: {"expectations": 2, "wrong": []} for name in ("h1", "h2", "h3")}
    assert ebpfnf("deploy", str(file))[0] == 0
    code, out, _ = ebpfnf("status", f"--hosts={lab.inventory}", "-o", "json")
    assert code == 0 and {name: len(each["result"]) for name, each in json.loads(out)["hosts"].items()} == {"h1": 0, "h2": 0, "h3": 1}
    code, out, _ = ebpfnf("rollout", str(file), f"--hosts={lab.inventory}", "--soak=0", "--first=3", "-o", "json")
    assert code == 0 and json.loads(out)["hosts"] == {"h1": "updated", "h2": "updated", "h3": "already"}
    rolled = ("rollout", str(file), f"--hosts={lab.inventory}", "--soak=0", "--first=3", "--granularity=mnf", "-o", "json")
    rules = ("dump", NAME, "guard.acl.rules", f"--hosts={lab.inventory}:h2", "-o", "json")
    before = ebpfnf("table", *rules)[1]
    assert ebpfnf("table", "del", NAME, "guard.acl.rules", "10", f"--hosts={lab.inventory}:h2")[0] == 0
    code, out, _ = ebpfnf(*rolled)
    assert code == 4 and "--discard-entries" in json.loads(out)["why"]["h2"] and ebpfnf("table", *rules)[1] != before
    code, out, complaint = ebpfnf(*rolled, "--discard-entries")
    assert code != 0 and "add -y" in out + complaint
    code, out, _ = ebpfnf(*rolled, "--discard-entries", "-y")
    assert code == 0 and set(json.loads(out)["hosts"].values()) == {"updated"} and ebpfnf("table", *rules)[1] == before
    talk = "import socket; s = socket.create_connection(('10.77.3.2', 9000), 5); print(s.recv(9))"
    listen = "import socket; s = socket.create_server(('10.77.3.2', 9000)); s.accept()[0].send(b'through'); print('sent')"
    with subprocess.Popen(lab.command("sink", [sys.executable, "-c", listen]), stdout=subprocess.PIPE, text=True) as sink:
        try:
            for _ in range(50):
                done = subprocess.run(lab.command("client", [sys.executable, "-c", talk]), capture_output=True, text=True, check=False)
                if done.returncode == 0:
                    break
            assert done.stdout.strip() == "b'through'", done.stderr
        finally:
            sink.kill()


def test_an_interrupt_waits_for_nobody(lab: HostLab) -> None:
    """Ctrl-C while a host is silent: commands that run are given up, none begins any more."""
    with fleet(lab) as found:

        def work(host: SshHost) -> None:
            if host.name == "h1":
                raise KeyboardInterrupt
            lab.cut("h2")
            host.run("status", {})

        with pytest.raises(KeyboardInterrupt):
            found.each(work)
        with pytest.raises(NotReached, match="'h3' was given up"):
            found.hosts["h3"].run("status", {})
