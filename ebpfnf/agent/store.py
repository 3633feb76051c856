"""What a host keeps on disk of a deployment that a manager sent: what shall run after a reboot, who changed it last, and the log.

    /var/lib/ebpfnf/<deployment>/bundle, previous    what runs again at boot; what a rollback makes of it
                                 claim                who may change it: the epoch, and the highest sequence that was signed
                                 log                  what was done, a line of JSON each

It says what is wanted, never what runs: that is read from pins. Written under the deployment's lock only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebpfnf import bundle as bundles
from ebpfnf.agent import failpoints
from ebpfnf.errors import AgentError, EbpfnfError
from ebpfnf.model import Bundle
from ebpfnf.names import is_kebab

_LOG = 1000  # entries that are kept


@dataclass(frozen=True, slots=True)
class Manager:
    """Who asks for a change. A later one has a higher epoch; one plan keeps its epoch when it is taken up again, by another run."""

    by: str
    epoch: int
    plan: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """The manager that came last, and the last signed bundle: its sequence and digest."""

    by: str = ""
    epoch: int = 0
    plan: str = ""
    run: str = ""
    sequence: int = 0
    signed: str = ""


@dataclass(slots=True)
class Keeper:
    """Told by the change what it did; `then` is done after it stands."""

    outcome: Mapping[str, Any] = field(default_factory=dict)
    then: list[Callable[[], None]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def folder(deployment: str) -> Path:
    """Where all that is."""
    return Path(os.environ.get("EBPFNF_STATE", "/var/lib/ebpfnf"), deployment)


def deployments() -> list[str]:
    """Those that shall run after a reboot."""
    return sorted(each.parent.name for each in folder("").glob("*/bundle") if is_kebab(each.parent.name))


def read_claim(deployment: str) -> Claim:
    """The last claim; an empty one where there is none that can be read."""
    try:
        said = json.loads((folder(deployment) / "claim").read_bytes())
        return Claim(**{f.name: type(getattr(Claim(), f.name))({"run": "", **said}[f.name]) for f in dataclasses.fields(Claim)})
    except (OSError, ValueError, KeyError, TypeError):
        return Claim()


def claim(deployment: str, manager: Manager, over: str | None = None) -> Claim:
    """Let nobody with a lower epoch change the deployment from now on; AgentError when a later one, or another of this epoch, was here.

    `over`: from that run of the same plan, which is refused from now on: what it sent before it died may be on its way still.
    """
    last = read_claim(deployment)
    if manager.epoch < last.epoch or (manager.epoch == last.epoch and manager.plan != last.plan):
        words = f"'{deployment}' was claimed by {last.by} (epoch {last.epoch}), which this change (epoch {manager.epoch}) does not know of"
        raise AgentError(words, cure="see what they did ('ebpfnf history'), then begin again")
    if manager.epoch == last.epoch and last.run not in (manager.run, over):
        raise AgentError(f"'{deployment}' was taken over by {last.by}, who goes on with this very change", cure="leave it to them")
    taken = dataclasses.replace(last, by=manager.by, epoch=manager.epoch, plan=manager.plan, run=manager.run)
    if taken != last:
        write_claim(deployment, taken)
    return taken


def write_claim(deployment: str, wanted: Claim) -> None:
    """Whole or not at all."""
    _write(deployment, "claim", json.dumps(dataclasses.asdict(wanted)).encode())


@contextlib.contextmanager
def keeping(verb: str, deployment: str, manager: Manager | None, data: bytes = b"", was: str = "") -> Iterator[Keeper]:
    """Around a change that holds the lock: what can't be kept refuses it before it begins; what was done is noted.

    `data`: the bundle that comes; `was`: the digest of the one that runs.
    """
    keeper = Keeper()
    if manager is None:
        yield keeper
        return
    claim(deployment, manager)
    if data:
        _write(deployment, "bundle.new", data)
    # So that it is known whose change it was, should we be cut off.
    _note(deployment, verb, manager, {"begun": True, **({"was": was} if data else {})})
    try:
        yield keeper
    except EbpfnfError as error:
        _note(deployment, verb, manager, {"error": str(error)[:500]})
        with contextlib.suppress(OSError):
            (folder(deployment) / "bundle.new").unlink(missing_ok=True)
        raise
    try:
        failpoints.hit("unkept")
        for step in keeper.then:
            step()
        _note(deployment, verb, manager, keeper.outcome)
    except OSError as error:
        keeper.warnings.append(f"{folder(deployment)}: {error.strerror}: after a reboot something else may run")


def deployed(deployment: str) -> None:
    """The new bundle is what shall run; the one before is what a rollback goes back to."""
    here = folder(deployment)
    if (here / "bundle").exists() and (here / "bundle").read_bytes() == (here / "bundle.new").read_bytes():
        (here / "bundle.new").unlink()
        return
    if (here / "bundle").exists():
        (here / "previous.new").unlink(missing_ok=True)
        os.link(here / "bundle", here / "previous.new")
        os.replace(here / "previous.new", here / "previous")
    os.replace(here / "bundle.new", here / "bundle")


def rolled_back(deployment: str, digest: str) -> None:
    """The bundle of that digest shall run again."""
    here = folder(deployment)
    if kept_digest(deployment) == digest:
        return
    if kept_digest(deployment, "previous") != digest:
        raise OSError(0, "the bundle before is not kept")
    os.replace(here / "previous", here / "bundle")


def undeployed(deployment: str) -> None:
    """Nothing shall run."""
    for name in ("bundle", "previous", "bundle.new"):
        (folder(deployment) / name).unlink(missing_ok=True)


def kept(deployment: str, name: str = "bundle") -> Bundle | None:
    """What shall run, or with `previous` what a rollback makes of it; None where there is none that can be read."""
    try:
        return bundles.decode((folder(deployment) / name).read_bytes())
    except (OSError, EbpfnfError):
        return None


def kept_digest(deployment: str, name: str = "bundle") -> str:
    """The digest of `kept`, empty where there is none."""
    found = kept(deployment, name)
    return found.digest if found else ""


def history(deployment: str) -> list[Mapping[str, Any]]:
    """What was done, oldest first; a line that was cut off is left out."""
    found = []
    with contextlib.suppress(OSError):
        for line in (folder(deployment) / "log").read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
    return found


def forget(deployment: str) -> None:
    """All of it goes, the log too."""
    shutil.rmtree(folder(deployment), ignore_errors=True)


def _note(deployment: str, verb: str, manager: Manager, outcome: Mapping[str, Any]) -> None:
    entry = {"at": int(time.time()), "verb": verb, **dataclasses.asdict(manager), **outcome}
    line = json.dumps(entry, separators=(",", ":")) + "\n"
    path = folder(deployment) / "log"
    with contextlib.suppress(OSError):
        lines = path.read_text(errors="replace").splitlines(keepends=True) if path.exists() else []
        if len(lines) >= _LOG:
            _write(deployment, "log", "".join(lines[-_LOG // 2 :]).encode())
        with open(path, "a", encoding="utf-8") as file:
            file.write(line if not lines or lines[-1].endswith("\n") else "\n" + line)


def _write(deployment: str, name: str, data: bytes) -> None:
    here = folder(deployment)
    try:
        here.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = here / f"{name}.tmp"
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, here / name)
        handle = os.open(here, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(handle)
        os.close(handle)
    except OSError as error:
        with contextlib.suppress(OSError):
            (here / f"{name}.tmp").unlink(missing_ok=True)
        raise AgentError(f"'{here}' can't be written: {error.strerror}; nothing was changed", cure="free some space there") from None
