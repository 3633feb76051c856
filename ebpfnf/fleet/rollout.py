"""A change host by host: a first one to see whether it does well, then batches; what does badly goes back.

Nothing is noted here. Hosts keep the plan's digest, the epoch and what was begun under it, so whoever runs the same rollout again
after the first manager died goes on from there, and one who runs another has a higher epoch: the first is refused from then on.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ebpfnf.errors import AgentError, HostUnreachable, NotReached
from ebpfnf.fleet import gate
from ebpfnf.fleet.change import Fleet, Outcome, Parcel, Watch, ask, manager_of, plan_digest, unwatched
from ebpfnf.fleet.gate import Gates
from ebpfnf.fleet.remote import SshHost


@dataclass(frozen=True, slots=True)
class Policy:
    """How carefully. `first`: hosts in the first batch; `batch`: in those after it; `soak`: seconds until a batch is looked at."""

    first: int = 1
    batch: int = 1
    soak: float = 2.0
    gates: Gates = field(default_factory=Gates)
    on_failure: str = "rollback"  # rollback | stop


@dataclass(frozen=True, slots=True)
class Report:
    """What became of each host: updated, already, failed, unknown, not reached, rolled back, untouched;
    and why it stopped."""

    hosts: Mapping[str, str]
    why: Mapping[str, str]  # host -> what was wrong there
    epoch: int
    resumed: bool

    @property
    def complete(self) -> bool:
        """Every host runs what was sent."""
        return all(state in ("updated", "already") for state in self.hosts.values())


class Rollout:
    """One run of it."""

    def __init__(
        self, fleet: Fleet, deployment: str, parcels: Mapping[str, Parcel], policy: Policy | None = None, watch: Watch = unwatched
    ) -> None:
        self._fleet, self._deployment, self._parcels = fleet, deployment, parcels
        self._policy, self._watch = policy or Policy(), watch
        self._states = dict.fromkeys(parcels, "untouched")
        self._why: dict[str, str] = {}
        self._manager: dict[str, Any] = {}

    def run(self) -> Report:
        """Claims all hosts, then goes batch by batch. EbpfnfError where nothing was begun: a host is silent, another manager is there."""
        about = {"deployment": self._deployment}
        kept = self._all(self._fleet.each(lambda host: ask(host, "kept", about, self._watch)))
        digests = {name: parcel.bundle.digest for name, parcel in self._parcels.items()}
        self._manager = manager_of(kept.values(), plan_digest({"rollout": self._deployment, "hosts": digests}))
        resumed = any(all(each["claim"][key] == self._manager[key] for key in ("plan", "epoch")) for each in kept.values())
        self._manager["run"] = secrets.token_hex(8)
        self._all(self._fleet.each(lambda host: self._claim(host, kept[host.name]["claim"])))
        if resumed:  # what the run before had on its way has ended by now, or is refused
            kept = self._all(self._fleet.each(lambda host: ask(host, "kept", about, self._watch)))
        for name, each in kept.items():
            if self._begun(name, each["history"]):
                self._states[name] = "begun"
        for batch in self._batches():
            if not self._batch(batch):
                if self._policy.on_failure == "rollback":
                    self._back()
                break
        states = {name: "untouched" if state == "begun" else state for name, state in self._states.items()}
        return Report(states, self._why, self._manager["epoch"], resumed)

    def _claim(self, host: SshHost, last: Mapping[str, Any]) -> None:
        """Takes over from the run that was last seen there; of one that died a claim may have come in between."""
        about = {"deployment": self._deployment}
        try:
            ask(host, "claim", {**about, "manager": self._manager, "over": last["run"]}, self._watch)
        except AgentError:
            now = ask(host, "kept", about)["claim"]
            if now["run"] == last["run"] or (now["epoch"], now["plan"]) != (self._manager["epoch"], self._manager["plan"]):
                raise
            ask(host, "claim", {**about, "manager": self._manager, "over": now["run"]}, self._watch)

    def _all(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """Results by host; the first error stops it, as long as nothing was changed."""
        for each in outcomes:
            if each.error is not None:
                raise AgentError(f"'{each.host}': {each.error.what}; no host was changed", cure=each.error.cure) from each.error
        return {each.host: each.result for each in outcomes}

    def _begun(self, host: str, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether this rollout changed the host, or was about to. It did not where what it sent ran there before, whatever came of it."""
        digest, changed = self._parcels[host].bundle.digest, False
        for each in history:
            if each.get("epoch") == self._manager["epoch"] and "error" not in each:
                if each["verb"] == "apply":
                    changed |= "begun" in each and each.get("was") != digest
                elif "begun" not in each:
                    changed = False
        return changed

    def _batches(self) -> list[list[str]]:
        names, batches, size = list(self._parcels), [], max(1, self._policy.first)
        while names:
            batches.append(names[:size])
            names, size = names[size:], max(1, self._policy.batch)
        return batches

    def _batch(self, names: Sequence[str]) -> bool:
        """Whether all of them are well with it."""
        before = {each.host: each for each in self._fleet.each(self._status, names)}
        todo, unjudged = [], []
        for name, each in before.items():
            if each.error is not None:
                self._failed(each)
            elif each.result["digest"] == self._parcels[name].bundle.digest and not each.result["warnings"]:
                if self._states[name] == "begun":  # whoever sent it may have died before he looked
                    self._states[name] = "updated"
                    unjudged.append(name)
                else:
                    self._states[name] = "already"
            else:
                todo.append(name)
        if self._why:
            return False
        for each in self._fleet.each(self._send, todo):
            if each.error is not None:
                self._failed(each)
            else:
                self._states[each.host] = "updated"
        changed = [*unjudged, *todo]
        if changed and not self._why:
            for name in changed:
                self._watch(name, "soaking")
            time.sleep(self._policy.soak)
            for each in self._fleet.each(lambda host: self._look(host, before[host.name].result), changed):
                if each.error is not None:
                    self._failed(each)
                elif each.result:
                    self._states[each.host], self._why[each.host] = "failed", each.result
        return not self._why

    def _send(self, host: SshHost) -> Any:
        return ask(host, "apply", self._parcels[host.name].payload(self._manager), self._watch)

    def _status(self, host: SshHost) -> Any:
        return ask(host, "status", {"deployment": self._deployment}, self._watch)

    def _look(self, host: SshHost, before: Mapping[str, Any]) -> str:
        digest, gates = self._parcels[host.name].bundle.digest, self._policy.gates
        return gate.unwell(before, self._status(host), digest, gates) or gate.refused(host.target, self._deployment, gates)

    def _failed(self, outcome: Outcome) -> None:
        error = outcome.error
        assert error is not None
        unreachable = "not reached" if isinstance(error, NotReached) else "unknown"
        self._states[outcome.host] = unreachable if isinstance(error, HostUnreachable) else "failed"
        self._why[outcome.host] = str(error)

    def _back(self) -> None:
        """Every host that this rollout changed, or may have, returns to what it ran before. Which those are, the hosts say."""
        touched = [name for name, state in self._states.items() if state not in ("untouched", "already")]
        for each in self._fleet.each(self._return, touched):
            if each.error is not None:
                self._why.setdefault(each.host, "")
                self._why[each.host] += f"; not rolled back: {each.error}"
            elif each.result:
                self._states[each.host] = "rolled back"

    def _return(self, host: SshHost) -> bool:
        """Whether it had to return."""
        digest = self._parcels[host.name].bundle.digest
        about = {"deployment": self._deployment, "manager": self._manager}
        status, kept = self._status(host), ask(host, "kept", {"deployment": self._deployment})
        if status["digest"] != digest or not self._begun(host.name, kept["history"]):
            return False
        if status["previous"] is None and not kept["previous"]:
            return bool(ask(host, "undeploy", about, self._watch)["changed"])
        return bool(ask(host, "rollback", {**about, "leaving": digest}, self._watch)["changed"])


def drift(statuses: Mapping[str, Mapping[str, Any]], digests: Mapping[str, str], kept: Mapping[str, str]) -> dict[str, list[str]]:
    """Host -> how it differs from what the file says; empty lists where it does not. `kept`: digests of what would run after a reboot."""
    found: dict[str, list[str]] = {}
    for name, status in statuses.items():
        words = list(status["warnings"])
        if not status["running"]:
            words.append("does not run here")
        elif status["digest"] != digests[name]:
            words.append(f"runs {status['digest'][:12]}, the file makes {digests[name][:12]}")
        if status["running"] and kept[name] != status["digest"]:
            words.append(f"after a reboot {kept[name][:12] or 'nothing'} would run")
        found[name] = words
    return found
