"""What a host keeps of a deployment: who may change it, what runs after a reboot, what was done."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import bundle as bundles
from ebpfnf.agent import store
from ebpfnf.agent.store import Manager
from ebpfnf.errors import AgentError
from tests.faults.bench import chain

OLD, NEW = chain("one", 1), chain("one", 2)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EBPFNF_STATE", str(tmp_path))
    return tmp_path


def deployed(bundle: object, epoch: int) -> None:
    with store.keeping("apply", "one", Manager("me@here", epoch, f"plan-{epoch}"), bundles.encode(bundle)) as keeper:
        keeper.then.append(lambda: store.deployed("one"))
        keeper.outcome = {"digest": bundle.digest}
    assert keeper.warnings == []


def test_an_older_manager_is_refused() -> None:
    store.claim("one", Manager("me", 5, "a"))
    assert store.claim("one", Manager("me", 5, "a")).epoch == 5, "the same again is no news"
    for manager in (Manager("you", 4, "a"), Manager("you", 5, "b")):
        with pytest.raises(AgentError, match=r"claimed by me \(epoch 5\)"):
            store.claim("one", manager)
    assert store.claim("one", Manager("you", 6, "b")).by == "you"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"epoch": "x"}', b"\xff"])
def test_a_damaged_claim_counts_as_none(here: Path, damage: bytes) -> None:
    store.claim("one", Manager("me", 5))
    (here / "one" / "claim").write_bytes(damage)
    assert store.read_claim("one").epoch == 0


def test_what_runs_after_a_reboot() -> None:
    deployed(OLD, 1)
    deployed(NEW, 2)
    deployed(NEW, 3)
    assert (store.kept_digest("one"), store.kept_digest("one", "previous")) == (NEW.digest, OLD.digest)
    store.rolled_back("one", OLD.digest)
    assert store.kept_digest("one") == OLD.digest and store.deployments() == ["one"]
    with pytest.raises(OSError, match="the bundle before is not kept"):
        store.rolled_back("one", NEW.digest)
    store.undeployed("one")
    assert store.kept_digest("one") == "" and store.deployments() == []
    assert [entry["epoch"] for entry in store.history("one") if "begun" not in entry] == [1, 2, 3]


def test_a_change_that_failed_is_noted_and_keeps_what_was() -> None:
    deployed(OLD, 1)
    with pytest.raises(AgentError, match="no"), store.keeping("apply", "one", Manager("me", 2, "b"), bundles.encode(NEW)):
        raise AgentError("no")
    assert store.kept_digest("one") == OLD.digest and store.history("one")[-1]["error"] == "no"
    assert not (store.folder("one") / "bundle.new").exists()


def test_the_log_is_bounded_and_survives_a_cut(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_LOG", 10)
    for epoch in range(1, 30):
        deployed(OLD, epoch)
    assert len(store.history("one")) <= 11 and store.history("one")[-1]["epoch"] == 29
    with (here / "one" / "log").open("a") as log:
        log.write('{"at": 1, "ver')
    deployed(OLD, 30)
    assert store.history("one")[-1]["epoch"] == 30


def test_what_a_run_that_was_taken_over_sent_is_refused() -> None:
    """Its change, and its claim, that came late."""
    first, second = (Manager("me", 5, "a", run) for run in ("one", "two"))
    store.claim("one", first, "")
    store.claim("one", first)
    store.claim("one", second, "one")
    store.claim("one", second)
    for late in (lambda: store.claim("one", first), lambda: store.claim("one", first, "")):
        with pytest.raises(AgentError, match="was taken over by me"):
            late()
    assert store.claim("one", Manager("you", 6, "b", "three"), "one").epoch == 6
