"""The verbs that change a host: each takes the lock, looks, plans, and does the plan or leaves all as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from ebpfnf import bundle as bundles
from ebpfnf.agent import failpoints, journal, signature, steps, store
from ebpfnf.agent.denial import refused
from ebpfnf.agent.load import HostFacts
from ebpfnf.agent.load import load as load_bundle
from ebpfnf.agent.observe import observe
from ebpfnf.agent.plan import Action, Options, bound, plan, plan_reconcile, plan_rollback, plan_undeploy
from ebpfnf.agent.seen import Observed
from ebpfnf.errors import AgentError, EbpfnfError
from ebpfnf.kernel import pins
from ebpfnf.kernel.pins import Pins
from ebpfnf.model import Bundle, Port

Emit = Callable[[str, Mapping[str, Any]], None]  # what happens, as it happens: the step, and details

_COMMITS = ("flip", "attach", "replace", "remove")  # after the last of these the change stands


@dataclass(frozen=True, slots=True)
class Result:
    """What a verb did. `warnings`: the change stands, but something after it failed."""

    deployment: str
    generation: int  # live now, 0 for none
    changed: bool
    actions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def silent(step: str, details: Mapping[str, Any]) -> None:
    """An `Emit` for callers who only want the result."""


def apply(
    bundle: Bundle,
    options: Options | None = None,
    emit: Emit = silent,
    manager: store.Manager | None = None,
    signed: signature.Signature | None = None,
    *,
    trusted: bool = False,
) -> Result:
    """Make `bundle` what runs here. Applying the same again changes nothing. For a manager it also is what runs after a reboot.

    `trusted`: it was checked when it came.
    """
    options = options or Options()
    with _change(bundle.deployment, entries=True) as seen:
        if not trusted:
            signature.check(bundle, signed)
        with store.keeping("apply", bundle.deployment, manager, bundles.encode(bundle) if manager else b"", _digest(seen)) as keeper:
            actions = plan(bundle, seen, options)
            work = _work(seen, bundle.ports)
            work.bundle, work.keep_entries = bundle, options.keep_entries
            result = _run("apply", actions, work, emit)
            keeper.then.append(partial(store.deployed, bundle.deployment))
            keeper.outcome = _outcome(result, bundle.digest)
    return _with(result, keeper)


def rollback(deployment: str, emit: Emit = silent, manager: store.Manager | None = None, leaving: str = "") -> Result:
    """Back to the generation before. `leaving`: only if the bundle of that digest is live, else nothing is done."""
    with _change(deployment) as seen, _known(seen, manager), store.keeping("rollback", deployment, manager) as keeper:
        if leaving and _digest(seen) != leaving:
            return Result(deployment, seen.live, False)
        actions = plan_rollback(seen)
        previous = seen.previous
        assert previous is not None and previous.manifest is not None
        result = _run("rollback", actions, _work(seen, previous.manifest.ports), emit)
        keeper.then.append(partial(store.rolled_back, deployment, previous.manifest.digest))
        keeper.outcome = _outcome(result, previous.manifest.digest)
    return _with(result, keeper)


def restore(bundle: Bundle, emit: Emit, manager: store.Manager, leaving: str = "") -> Result:
    """`rollback` where a reboot has taken the generation before: its bundle is on disk still."""
    with _change(bundle.deployment) as seen, store.keeping("rollback", bundle.deployment, manager) as keeper:
        if leaving and _digest(seen) != leaving:
            return Result(bundle.deployment, seen.live, False)
        work = _work(seen, bundle.ports)
        work.bundle, work.keep_entries = bundle, True
        result = _run("rollback", plan(bundle, seen, Options(keep_entries=True)), work, emit)
        keeper.then.append(partial(store.rolled_back, bundle.deployment, bundle.digest))
        keeper.outcome = _outcome(result, bundle.digest)
    return _with(result, keeper)


def reconcile(deployment: str, emit: Emit = silent) -> Result:
    """Attach again what has lost its link."""
    with _change(deployment) as seen:
        actions = plan_reconcile(seen)
        running = seen.running
        assert running is not None and running.manifest is not None
        return _run("reconcile", actions, _work(seen, running.manifest.ports), emit)


def undeploy(deployment: str, emit: Emit = silent, manager: store.Manager | None = None) -> Result:
    """Take it off this host, with its state and its counts."""
    with _change(deployment) as seen, _known(seen, manager), store.keeping("undeploy", deployment, manager) as keeper:
        result = _run("undeploy", plan_undeploy(seen), _work(seen, ()), emit)
        keeper.then.append(partial(store.undeployed, deployment))
        keeper.outcome = _outcome(result, "")
    return _with(result, keeper)


def take_over(deployment: str, manager: store.Manager, over: str) -> store.Claim:
    """From now on only this manager changes the deployment, until another comes with a higher epoch, or goes on after it."""
    with journal.locked(deployment):
        return store.claim(deployment, manager, over)


def _digest(seen: Observed) -> str:
    """Of what runs; empty where nothing does, or it can't be told."""
    running = seen.running
    return running.manifest.digest if running and running.manifest else ""


def _outcome(result: Result, digest: str) -> dict[str, Any]:
    return {"digest": digest, "generation": result.generation, "changed": result.changed, "warnings": list(result.warnings)}


def _with(result: Result, keeper: store.Keeper) -> Result:
    return dataclasses.replace(result, warnings=(*result.warnings, *keeper.warnings)) if keeper.warnings else result


def dry_run(bundle: Bundle, options: Options | None = None) -> tuple[Action, ...]:
    """The plan, after this kernel's verifier has seen the programs; nothing stays."""
    seen = observe(bundle.deployment, entries=True)
    actions = plan(bundle, seen, options)
    to_be_made = {port.name: (1, 1500) for port in bundle.ports if port.interface not in seen.interfaces}  # taps: the loopback stands in
    load_bundle(bundle, host=HostFacts.measure(to_be_made | bound(bundle.ports, seen))).close()
    return actions


@contextmanager
def _change(deployment: str, *, entries: bool = False) -> Iterator[Observed]:
    if not pins.mounted():
        raise AgentError(f"no bpffs at {pins.mount()}", cure=f"mount -t bpf bpf {pins.mount()}")
    with journal.locked(deployment):
        try:
            failpoints.hit("locked")
            yield observe(deployment, entries=entries)
        except OSError as error:
            raise refused(error, "nothing was changed") from error


@contextmanager
def _known(seen: Observed, manager: store.Manager | None) -> Iterator[None]:
    """A manager's mistake in a name must leave nothing behind, a claim neither."""
    if manager and not seen.exists and not store.folder(seen.deployment).exists():
        known = ", ".join(sorted({*pins.deployments(), *store.deployments()}))
        raise AgentError(f"there is no deployment '{seen.deployment}' here", cure=f"there are: {known}" if known else "there is none")
    yield


def _work(seen: Observed, ports: tuple[Port, ...]) -> steps.Work:
    return steps.Work(Pins(seen.deployment), seen, {port.name: port for port in ports})


def _run(verb: str, actions: tuple[Action, ...], work: steps.Work, emit: Emit) -> Result:
    """Do the actions. Until the last that commits, a failure takes all back; after it, a failure is a warning."""
    deployment = work.seen.deployment
    if not actions:
        journal.remove(deployment)
        return Result(deployment, work.seen.live, False)
    commit = max((i for i, action in enumerate(actions) if action.verb in _COMMITS), default=-1)
    done, warnings = -1, []
    journal.write(deployment, f"{verb}: " + ", ".join(f"{a.verb} {a.what}" for a in actions))
    try:
        for number, action in enumerate(actions):
            emit(action.verb, {"what": action.what, "detail": action.detail})
            try:
                steps.STEPS[action.verb](work, action)
                done = number
                failpoints.hit(f"after-{action.verb}")
            except (OSError, EbpfnfError) as error:
                if done < commit:
                    cure = "undeploy again to finish" if verb == "undeploy" else "nothing was changed"
                    _take_back(work, action, error, cure, emit)
                warnings.append(f"{action}: {error}")
    finally:
        work.close()
    try:
        journal.remove(deployment)
    except OSError as error:
        warnings.append(f"journal: {error}")
    warnings += work.notices
    flips = [int(action.what) for action in actions if action.verb == "flip"]
    live = 0 if verb == "undeploy" else flips[-1] if flips else work.seen.live
    return Result(deployment, live, True, tuple(map(str, actions)), tuple(warnings))


def _take_back(work: steps.Work, action: Action, error: OSError | EbpfnfError, cure: str, emit: Emit) -> None:
    """Undo in reverse, then say what stopped us."""
    emit("undo", {"what": action.what, "detail": str(error)})
    failed = []
    for back in reversed(work.undo):
        try:
            back()
        except (OSError, EbpfnfError) as other:
            failed.append(str(other))
    if failed:
        raise AgentError(f"{action.verb} {action.what}: {error}; taking it back failed too: {failed[0]}", cure="deploy again") from error
    try:
        journal.remove(work.seen.deployment)
    except OSError as other:
        raise AgentError(f"{action.verb} {action.what}: {error}; the journal stays: {other}", cure="deploy again") from error
    if isinstance(error, EbpfnfError):
        raise error
    raise refused(error, cure, f"{action.verb} {action.what}") from error
