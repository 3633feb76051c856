"""A change happens as a whole or not at all, and the kernel always tells what runs."""

from __future__ import annotations

import base64
import dataclasses
import os
import subprocess
import time
from pathlib import Path

import pytest

from ebpfnf import bundle as bundles
from ebpfnf.errors import AgentError, Busy, HostUnreachable, PrivilegeError, VerifierError
from ebpfnf.kernel.insn import XDP_DROP, XDP_PASS, XDP_TX
from ebpfnf.kernel.maps import Map
from tests.faults.bench import LAN, WAN, Bench, chain, ip

pytestmark = pytest.mark.faults


def test_first_deploy_update_rollback_undeploy(bench: Bench) -> None:
    first = bench.apply(bench.chain(XDP_PASS))
    assert first["generation"] == 1 and first["changed"] and first["warnings"] == []
    assert (bench.answer("wan"), bench.answer("lan")) == (XDP_PASS, XDP_PASS)
    bench.apply(bench.chain(XDP_TX))
    assert bench.answer("wan") == XDP_TX and bench.status()["previous"] == 1
    bench.tidy()
    assert bench.run("rollback")["generation"] == 1
    assert bench.answer("wan") == XDP_PASS
    bench.tidy()
    with pytest.raises(AgentError, match="no earlier generation"):
        bench.run("rollback")
    assert bench.run("undeploy")["changed"]
    assert bench.answer("wan") is None and bench.status()["running"] is False
    assert not bench.run("undeploy")["changed"]


def test_applying_the_same_again_writes_nothing(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_PASS))
    before = bench.snapshot()
    assert not bench.apply(bench.chain(XDP_PASS))["changed"]
    assert bench.snapshot() == before


def test_counters_never_go_back(bench: Bench) -> None:
    total = 0
    for turn, answer in enumerate((XDP_PASS, XDP_TX, XDP_DROP, XDP_PASS), 1):
        bench.apply(bench.chain(answer))
        assert bench.status()["counters"].get("in.entered", 0) == total
        bench.answer("wan", count=10 * turn)
        total += 10 * turn
    bench.run("rollback")
    status = bench.status()
    assert status["counters"]["in.entered"] == total == status["stages"][0]["in"] == status["chains"][0]["packets"]
    assert status["missed"] == 0


def test_kept_state_outlives_a_swap_and_another_layout_starts_anew(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_PASS))
    state = bench.snapshot()["state/one-acl-seen-v1"]
    bench.apply(bench.chain(XDP_TX))
    assert bench.snapshot()["state/one-acl-seen-v1"] == state
    bench.apply(bench.chain(XDP_PASS, layout=2))
    assert bench.snapshot()["state/one-acl-seen-v1"] == state, "the way back needs it"
    bench.apply(bench.chain(XDP_TX, layout=2))
    assert "state/one-acl-seen-v1" not in bench.snapshot()


def test_ports_come_and_go(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_PASS, WAN))
    assert bench.answer("lan") is None
    bench.apply(bench.chain(XDP_PASS, WAN, LAN))
    assert bench.answer("lan") == XDP_PASS
    bench.apply(bench.chain(XDP_PASS, dataclasses.replace(WAN, interface="wan1"), LAN))
    assert [p["interface"] for p in bench.status()["ports"] if p["attached"]] == ["wan1", "lan0"]
    bench.apply(bench.chain(XDP_TX, dataclasses.replace(WAN, interface="wan1", on_fault="pass")))
    assert bench.answer("lan") is None and bench.answer("wan") == XDP_TX
    bench.tidy()


def test_live_entries_are_not_lost_silently(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_PASS, entries=(("192.0.2.1", 1),)))
    table = {"table": "one.acl.hosts"}
    assert bench.run("table get", {**table, "key": "192.0.2.1"}) == 1
    bench.run("table set", {**table, "key": "192.0.2.9", "value": 9})
    assert bench.status()["tables"][0]["edited"]
    with pytest.raises(AgentError, match=r"one\.acl\.hosts.*192\.0\.2\.9"):
        bench.apply(bench.chain(XDP_TX))
    assert bench.answer("wan") == XDP_PASS
    bench.apply(bench.chain(XDP_TX, entries=(("192.0.2.1", 1),)), keep_entries=True)
    assert sorted(bench.run("table dump", table)) == [["192.0.2.1", 1], ["192.0.2.9", 9]]
    bench.apply(bench.chain(XDP_TX, entries=(("192.0.2.1", 1),)), discard_entries=True)
    assert bench.run("table dump", table) == [["192.0.2.1", 1]]
    bench.run("table del", {**table, "key": "192.0.2.1"})
    assert bench.run("table dump", table) == []


def test_verifier_refuses_and_the_old_runs_on(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_PASS))
    before = bench.snapshot()
    with pytest.raises(VerifierError):
        bench.apply(bench.chain(XDP_TX, bad=True))
    assert bench.snapshot() == before and bench.answer("wan") == XDP_PASS


def test_verifier_refuses_a_first_deploy_and_nothing_stays(bench: Bench) -> None:
    with pytest.raises(VerifierError):
        bench.apply(bench.chain(XDP_TX, bad=True))
    assert bench.snapshot() == {"files": []} and not bench.run("observe")["exists"]


def test_dry_run_and_plan_change_nothing(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_PASS))
    before = bench.snapshot()
    payload = {"bundle": base64.b64encode(bundles.encode(bench.chain(XDP_TX))).decode()}
    for command in ("plan", "dry-run"):
        assert [action["verb"] for action in bench.run(command, payload)] == ["load", "fill", "check", "pin", "flip", "grace"]
    assert bench.snapshot() == before


def test_two_writers(bench: Bench) -> None:
    """The second is told, and the first one's lock ends with its process."""
    code = "import fcntl,sys,time; f=open(sys.argv[1],'w'); fcntl.flock(f,fcntl.LOCK_EX); print('held',flush=True); time.sleep(60)"
    bench.apply(bench.chain(XDP_PASS))
    holder = subprocess.Popen(["python3", "-c", code, str(bench.run_folder / f"{bench.name}.lock")], stdout=subprocess.PIPE)
    try:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        with pytest.raises(Busy):
            bench.apply(bench.chain(XDP_TX))
        assert bench.status()["running"]
    finally:
        holder.kill()
        holder.wait()
    assert bench.apply(bench.chain(XDP_TX))["generation"] == 2


@pytest.mark.parametrize("garbage", [b"", b'{"what', b"\xff\x00", b"[]"])
def test_a_corrupt_journal_is_absent(bench: Bench, garbage: bytes) -> None:
    bench.apply(bench.chain(XDP_PASS))
    (bench.run_folder / f"{bench.name}.journal").write_bytes(garbage)
    assert bench.status()["warnings"] == []
    assert not bench.apply(bench.chain(XDP_PASS))["changed"]
    assert not (bench.run_folder / f"{bench.name}.journal").exists()


def test_disk_full_refuses_before_any_change(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_PASS))
    before = bench.snapshot()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(bench.run_folder)], check=True)
    try:
        (bench.run_folder / "fill").write_bytes(bytes(4096))
        with pytest.raises(AgentError, match=r"journal.*space"):
            bench.apply(bench.chain(XDP_TX))
    finally:
        subprocess.run(["umount", str(bench.run_folder)], check=True)
    assert bench.snapshot() == before
    assert bench.apply(bench.chain(XDP_TX))["changed"]


def test_a_lost_link_shows_and_is_attached_again(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_PASS))
    with bench.here() as at:
        os.unlink(at.link("wan"))
    status = bench.status()
    assert [p["attached"] for p in status["ports"]] == [False, True] and "'wan' is detached" in status["warnings"][0]
    assert bench.run("reconcile")["actions"] == [f"attach wan: wan0 (ifindex {status['ports'][0]['ifindex']}), port 1"]
    assert bench.answer("wan") == XDP_PASS
    bench.tidy()


def test_an_interface_that_is_made_anew(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_PASS))
    ip("-n", bench.netns, "link", "del", "wan0")
    assert "interface 'wan0' is not here" in bench.status()["warnings"][0]
    with pytest.raises(AgentError, match="no interface 'wan0'"):
        bench.apply(bench.chain(XDP_TX))
    ip("-n", bench.netns, "link", "add", "wan0", "type", "veth", "peer", "name", "wan1")
    with pytest.raises(AgentError, match="another one now"):
        bench.run("reconcile")
    bench.apply(bench.chain(XDP_PASS))
    assert bench.answer("wan") == XDP_PASS
    bench.tidy()


def test_a_foreign_program_is_named_and_left_alone(bench: Bench) -> None:
    other = Bench.beside(bench)
    other.apply(chain(other.name, XDP_DROP, WAN))
    with pytest.raises(AgentError, match=f"belongs to deployment '{other.name}'"):
        bench.apply(bench.chain(XDP_PASS))
    assert not bench.run("observe")["exists"] and other.answer("wan") == XDP_DROP
    other.run("undeploy")
    bench.attach_foreign("wan0", "stranger")
    with pytest.raises(AgentError, match=r"another XDP program \('stranger', id \d+\)"):
        bench.apply(bench.chain(XDP_PASS))


def test_mtu_too_large(bench: Bench) -> None:
    for end in ("wan0", "wan1"):
        ip("-n", bench.netns, "link", "set", end, "mtu", "9000")
    with pytest.raises(AgentError, match="mtu 9000"):
        bench.apply(bench.chain(XDP_PASS))


def test_pins_of_the_root_removed(bench: Bench) -> None:
    """The links call a root that nothing fills any more; a deploy puts other root programs in."""
    bench.apply(bench.chain(XDP_PASS))
    with bench.here() as at:
        os.unlink(at.root)
    until = time.monotonic() + 5
    while bench.answer("wan") != XDP_DROP and time.monotonic() < until:  # the kernel empties the array a little later
        time.sleep(0.01)
    assert bench.answer("wan") == XDP_DROP, "on_fault"
    status = bench.status()
    assert not status["running"] and status["missed"] == 2
    bench.apply(bench.chain(XDP_PASS))
    assert bench.answer("wan") == XDP_PASS


def test_a_missing_right_is_named(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_PASS))
    for command in ("rollback", "status", "undeploy"):
        with pytest.raises(PrivilegeError):
            bench.run(command, uid=65534)


def test_killed_is_unknown_not_failed(bench: Bench) -> None:
    with pytest.raises(HostUnreachable, match="signal 9"):
        bench.apply(bench.chain(XDP_PASS), kill="after-flip")


def test_a_generation_that_cannot_be_read(bench: Bench) -> None:
    """Its manifest is gone: status says so, packets flow on, and a deploy replaces it."""
    bench.apply(bench.chain(XDP_PASS))
    with bench.here() as at:
        os.unlink(at.generation(1).manifest)
    assert bench.answer("wan") == XDP_PASS
    assert bench.status()["warnings"] == ["what runs has lost its pins: deploy again"]
    bench.apply(bench.chain(XDP_PASS))
    assert bench.answer("wan") == XDP_PASS
    before = bench.snapshot()
    assert not bench.apply(bench.chain(XDP_PASS))["changed"]
    assert bench.snapshot() == before and bench.status()["warnings"] == []


def test_a_renamed_interface_goes_on_and_is_told(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_PASS))
    for words in (("down",), ("name", "other"), ("up",)):
        ip("-n", bench.netns, "link", "set", "other" if words == ("up",) else "wan0", *words)
    assert bench.answer("wan") == XDP_PASS
    assert bench.status()["warnings"] == ["port 'wan': interface 'wan0' is not here; its program is on 'other'"]
    ip("-n", bench.netns, "link", "set", "other", "down")
    ip("-n", bench.netns, "link", "set", "other", "name", "wan0")
    bench.tidy()


@pytest.mark.parametrize(("on_fault", "answer"), [("drop", XDP_DROP), ("pass", XDP_PASS)])
def test_an_empty_root_is_counted_and_does_what_the_port_says(bench: Bench, on_fault: str, answer: int) -> None:
    bench.apply(bench.chain(XDP_TX, dataclasses.replace(WAN, on_fault=on_fault)))
    with bench.here() as at, Map.open(at.root) as root:
        root.delete(bytes(4))
    assert bench.answer("wan", count=7) == answer
    status = bench.status()
    assert status["missed"] == 7 and "no generation is live" in status["warnings"][0]
    bench.apply(bench.chain(XDP_TX, dataclasses.replace(WAN, on_fault=on_fault)))
    assert bench.answer("wan") == XDP_TX


def test_a_table_whose_pin_is_gone(bench: Bench) -> None:
    """Its live entries can't be told from the file's: a deploy wants to be told that they may go; undeploy does not ask."""
    bench.apply(bench.chain(XDP_PASS, entries=(("192.0.2.1", 1),)))
    with bench.here() as at:
        os.unlink(at.generation(1).table("one-acl-hosts"))
    assert "its pin is gone" in bench.status()["warnings"][0]
    with pytest.raises(AgentError, match="its pin is gone"):
        bench.apply(bench.chain(XDP_TX))
    with pytest.raises(AgentError):
        bench.run("table get", {"table": "one.acl.hosts", "key": "192.0.2.1"})
    bench.run("undeploy")
    assert not bench.run("observe")["exists"]


def test_a_flapping_interface_changes_nothing(bench: Bench) -> None:
    bench.apply(bench.chain(XDP_PASS))
    before = bench.snapshot()
    for state in ("down", "up") * 3:
        ip("-n", bench.netns, "link", "set", "wan0", state)
    assert bench.snapshot() == before and bench.answer("wan") == XDP_PASS
    assert not bench.apply(bench.chain(XDP_PASS))["changed"]
    bench.tidy()


def test_a_managers_mistake_in_a_name_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.environment["EBPFNF_STATE"] = str(tmp_path / "state")
    manager = {"manager": {"by": "somebody", "epoch": 1, "plan": ""}}
    bench.apply(bench.chain(XDP_PASS), **manager)
    for command in ("undeploy", "rollback"):
        with pytest.raises(AgentError, match=f"there is no deployment 'wrong' here .there are: {bench.name}"):
            bench.run(command, {**manager, "deployment": "wrong"})
    assert os.listdir(tmp_path / "state") == [bench.name]
    assert bench.run("undeploy", manager)["changed"] and not bench.run("undeploy", manager)["changed"], "it may be asked twice"
