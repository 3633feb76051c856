"""What of a fleet needs no hosts: when one is well, who the next manager is, where hosts differ."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ebpfnf.agent.__main__ import _payload
from ebpfnf.cli.fleet import finished
from ebpfnf.errors import AgentError
from ebpfnf.fleet import install
from ebpfnf.fleet.change import bundle_for, manager_of
from ebpfnf.fleet.gate import Gates, refused, unwell
from ebpfnf.fleet.host import Answer
from ebpfnf.fleet.inventory import Target
from ebpfnf.fleet.rollout import drift
from tests.faults.bench import chain


def status(**changes: Any) -> dict[str, Any]:
    well = {"digest": "new", "running": True, "ports": [{"name": "wan", "attached": True}], "warnings": [], "drops": {"fw.deny": 10}}
    return {**well, "chains": [{"packets": 1000}], **changes}


@pytest.mark.parametrize(
    ("after", "gates", "words"),
    [
        (status(), Gates(), ""),
        (status(digest="other"), Gates(), "something else runs there"),
        (status(ports=[{"name": "wan", "attached": False}]), Gates(), "port 'wan' is detached"),
        (status(warnings=["a table is full"]), Gates(), "a table is full"),
        (status(drops={"fw.deny": 60}, chains=[{"packets": 1100}]), Gates(max_drops=50), ""),
        (
            status(drops={"fw.deny": 61}, chains=[{"packets": 1100}]),
            Gates(max_drops=50),
            "51.0 % of 100 packets were dropped, most for fw.deny",
        ),
        (status(drops={"fw.deny": 11}), Gates(forbidden=("fw.deny",)), "1 packets were dropped for fw.deny"),
        (status(drops={"fw.deny": 11}), Gates(forbidden=("fw.other",)), ""),
    ],
)
def test_when_a_host_is_well(after: dict[str, Any], gates: Gates, words: str) -> None:
    found = unwell(status(digest="old"), after, "new", gates)
    assert found.startswith(words) and bool(found) == bool(words)


def test_the_operators_check() -> None:
    host = Target("h1", "192.0.2.1")
    assert refused(host, "edge", Gates()) == ""
    assert refused(host, "edge", Gates(check='test "$EBPFNF_HOST $EBPFNF_ADDRESS $EBPFNF_DEPLOYMENT" = "h1 192.0.2.1 edge"')) == ""
    assert refused(host, "edge", Gates(check="echo no >&2; exit 7")) == "the check failed with 7: no"
    assert refused(host, "edge", Gates(check="sleep 5", check_seconds=0.05)).startswith("the check took more than")


def kept(epoch: int, plan: str) -> dict[str, Any]:
    return {"claim": {"epoch": epoch, "plan": plan}}


def test_who_comes_next() -> None:
    assert manager_of([], "a")["epoch"] == 1
    assert manager_of([kept(0, ""), kept(4, "b")], "a")["epoch"] == 5
    assert manager_of([kept(3, "b"), kept(4, "a")], "a")["epoch"] == 4, "begun: it goes on"
    assert manager_of([kept(4, "a"), kept(5, "b")], "a")["epoch"] == 6, "somebody came between"
    assert manager_of([kept(0, "")], "")["epoch"] == 1, "epoch 0 is nobody's"


def test_interfaces_of_a_host() -> None:
    bundle = chain("one", 1)
    same, other = bundle_for(bundle, Target("a", "a")), bundle_for(bundle, Target("b", "b", ports={"wan": "eth7", "dmz": "eth8"}))
    assert same == bundle and other.digest != bundle.digest
    assert [port.interface for port in other.ports] == ["eth7", "lan0"] and other.programs == bundle.programs


def test_drift() -> None:
    statuses = {"a": status(), "b": status(digest="old"), "c": status(running=False, digest=None), "d": status(warnings=["edited"])}
    words = drift(statuses, dict.fromkeys("abcd", "new"), {"a": "new", "b": "new", "c": "", "d": ""})
    assert words["a"] == [] and words["c"] == ["does not run here"]
    assert words["b"] == ["runs old, the file makes new", "after a reboot new would run"]
    assert words["d"] == ["edited", "after a reboot nothing would run"]


def test_beginnings_that_ended_are_not_told() -> None:
    begun = {"verb": "apply", "epoch": 1, "by": "me", "begun": True}
    ended = {"verb": "apply", "epoch": 1, "by": "me", "digest": "x"}
    assert finished([]) == []
    assert finished([begun, ended, {**begun, "epoch": 2}]) == [ended, {**begun, "epoch": 2}]


def test_old_agents_go_but_not_those_that_run(tmp_path: Path) -> None:
    made = []
    for number in range(6):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("__main__.py", f"number = {number}\n")
        digest = hashlib.sha256(data.getvalue()).hexdigest()
        install.install(data.getvalue(), str(tmp_path), digest)
        made.append(tmp_path / f"{digest}.pyz")
        os.utime(made[-1], (number, number))
        if number == 0:
            used = made[0].open()
            fcntl.flock(used, fcntl.LOCK_SH)
    used.close()
    assert set(tmp_path.iterdir()) == {made[0], *made[3:], tmp_path / "current.pyz"}
    assert (tmp_path / "current.pyz").resolve() == made[5]


@pytest.mark.parametrize("line", ["[" * 100_000, '{"ended": "x"}', '{"ended": null}', "[]", "5", '"', ""])
def test_what_a_host_says_that_is_no_agents_line_is_not_believed(line: str) -> None:
    heard = Answer()
    assert not heard.line(line) and heard.status is None
    assert heard.line('{"ended": 3}') and heard.status == 3


@pytest.mark.parametrize("data", [b"[" * 100_000, b"[]", b"\xff"])
def test_an_agent_says_what_it_can_not_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "payload").write_bytes(data)
    with pytest.raises(AgentError, match="neither a JSON object nor a bundle"):
        _payload(str(tmp_path / "payload"))
