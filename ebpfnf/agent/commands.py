"""What the agent can be asked to do: a command, a JSON object in, a JSON value out."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import signal
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ebpfnf import bundle as bundles
from ebpfnf.errors import AgentError, EbpfnfError
from ebpfnf.names import KEBAB_WANTED, is_kebab

if TYPE_CHECKING:
    from ebpfnf.agent.plan import Action, Options
    from ebpfnf.agent.signature import Signature
    from ebpfnf.agent.store import Manager
    from ebpfnf.model import Bundle

Emit = Callable[[str, Mapping[str, Any]], None]  # what happens, as it happens: the step, and details
Payload = Mapping[str, Any]
T = TypeVar("T")
_STEP = 10**6  # ns between two frames of `try`


def load() -> None:
    """Import all that commands import when they need it: for who forks a child for each."""
    from ebpfnf.agent import apply, doctor, edit, private, status, watch  # noqa: F401


def get_ready(command: str) -> None:
    """Import what a command will need whose payload may be a while in coming: a command line is still being read, a bundle made."""
    if command == "plan":
        from ebpfnf.agent import observe, outputs, plan  # noqa: F401
    elif command in ("apply", "dry-run"):
        from ebpfnf.agent import apply  # noqa: F401
    elif command == "status":
        from ebpfnf.agent import observe, status  # noqa: F401
    elif command.startswith("table "):
        from ebpfnf.agent import edit  # noqa: F401


def run(command: str, payload: Payload, emit: Emit) -> Any:
    """Do `command`; AgentError when there is no such command, or the payload lacks something."""
    if command not in COMMANDS:
        raise AgentError(f"no command '{command}'", cure="one of: " + ", ".join(COMMANDS))
    return COMMANDS[command](payload, emit)


def _apply(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import apply

    return dataclasses.asdict(apply.apply(_bundle(payload), _options(payload), emit, _manager(payload), _signature(payload)))


def _plan(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import outputs
    from ebpfnf.agent.differences import differences
    from ebpfnf.agent.observe import file_entries, observe
    from ebpfnf.agent.plan import plan
    from ebpfnf.kernel.pins import Pins

    wanted = _bundle(payload)
    seen = observe(wanted.deployment, entries=True)
    actions = _actions(plan(wanted, seen, _options(payload)))
    if seen.running and seen.running.manifest:
        said = file_entries(Pins(wanted.deployment), seen.live)
        for words in differences(wanted, seen.running.manifest, said):
            emit("differs", {"what": wanted.deployment, "detail": words})
    for words in outputs.warnings(wanted, seen.interfaces):
        emit("warning", {"what": wanted.deployment, "detail": words})
    if wanted.vms:
        from ebpfnf.agent import machines

        for words, name in machines.accelerators(wanted.vms).items():
            emit("warning" if name == "tcg" else "note", {"what": wanted.deployment, "detail": words})
    return actions


def _dry_run(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import apply

    return _actions(apply.dry_run(_bundle(payload), _options(payload)))


def _try(payload: Payload, emit: Emit) -> Any:
    """What this host, with its interfaces and routes, would do with frames: on a private copy, state kept from one to the next."""
    from ebpfnf.agent import netlink
    from ebpfnf.agent.private import PrivateCopy

    wanted, there = _bundle(payload), netlink.interfaces()
    ports = {port.name: there[port.interface].ifindex for port in wanted.ports if port.interface in there}
    told = []
    with PrivateCopy(wanted, ports) as copy:
        for number, frame in enumerate(_list(payload, "frames"), 1):
            before = copy.counts()
            outcome = copy.run(_bytes(frame, "data"), _text(frame, "port"), number * _STEP)
            entered = [c.chain for c in wanted.counters if c.kind == "entered" and copy.counts()[c.name] > before[c.name]]
            told.append({"action": outcome.action, "counter": outcome.counter.index, "port": outcome.port, "entered": entered})
    return told


def _status(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent.observe import observe
    from ebpfnf.agent.status import status
    from ebpfnf.kernel import pins

    if "deployment" in payload:
        return status(observe(_deployment(payload), entries=True))
    return [status(observe(name, entries=True)) for name in pins.deployments()]


def _observe(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent.observe import observe

    return bundles.to_json(observe(_deployment(payload), entries=True))


def _rollback(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import apply, store
    from ebpfnf.agent.observe import observe

    name, manager = _deployment(payload), _manager(payload)
    leaving = _text(payload, "leaving") if "leaving" in payload else ""
    before = store.kept(name, "previous") if manager else None
    if manager and before and observe(name).previous is None:
        return dataclasses.asdict(apply.restore(before, emit, manager, leaving))
    return dataclasses.asdict(apply.rollback(name, emit, manager, leaving))


def _reconcile(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import apply

    return dataclasses.asdict(apply.reconcile(_deployment(payload), emit))


def _undeploy(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import apply

    return dataclasses.asdict(apply.undeploy(_deployment(payload), emit, _manager(payload)))


def _claim(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import apply

    manager = _manager(payload)
    if manager is None:
        raise AgentError("'manager' is missing in what the agent was sent")
    return dataclasses.asdict(apply.take_over(_deployment(payload), manager, _text(payload, "over") if "over" in payload else ""))


def _kept(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import store

    name = _deployment(payload)
    digest, previous = (store.kept_digest(name, which) for which in ("bundle", "previous"))
    return {"claim": dataclasses.asdict(store.read_claim(name)), "digest": digest, "previous": previous, "history": store.history(name)}


def _boot(payload: Payload, emit: Emit) -> Any:
    """Everything that a manager sent runs again; what can't holds up nothing else, and is an error at the end."""
    from ebpfnf.agent import apply, store

    told, failed = {}, []
    for name in store.deployments():
        try:
            data = (store.folder(name) / "bundle").read_bytes()
            told[name] = dataclasses.asdict(apply.apply(bundles.decode(data), _options({"keep_entries": True}), emit, trusted=True))
        except (OSError, EbpfnfError) as error:
            failed.append(f"'{name}' does not run: {error}")
    if failed:
        raise AgentError("; ".join(failed), cure="mend that and boot again, or deploy")
    return told


def _watch(payload: Payload, emit: Emit) -> Any:
    """Until a signal ends it."""
    from ebpfnf.agent import watch

    watching = watch.Watch(_deployment(payload), emit)
    for number in (signal.SIGTERM, signal.SIGINT):
        # by another thread: this one may hold the event's lock, in `wait`, where the signal comes
        signal.signal(number, lambda *_: threading.Thread(target=watching.ended.set).start())
    watching.run()
    return True


def _table_get(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import edit

    return edit.get(_deployment(payload), _text(payload, "table"), _given(payload, "key"))


def _table_set(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import edit

    edit.put(_deployment(payload), _text(payload, "table"), _given(payload, "key"), _given(payload, "value"))
    return True


def _table_del(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import edit

    return edit.delete(_deployment(payload), _text(payload, "table"), _given(payload, "key"))


def _table_dump(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import edit

    return edit.dump(_deployment(payload), _text(payload, "table"))


def _doctor(payload: Payload, emit: Emit) -> Any:
    from ebpfnf.agent import doctor

    names = payload.get("interfaces", [])
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise AgentError("'interfaces' is a list of names")
    return [dataclasses.asdict(finding) for finding in doctor.examine(names)]


COMMANDS: dict[str, Callable[[Payload, Emit], Any]] = {
    "apply": _apply,
    "plan": _plan,
    "dry-run": _dry_run,
    "try": _try,
    "status": _status,
    "observe": _observe,
    "rollback": _rollback,
    "reconcile": _reconcile,
    "undeploy": _undeploy,
    "claim": _claim,
    "kept": _kept,
    "boot": _boot,
    "doctor": _doctor,
    "watch": _watch,
    "table get": _table_get,
    "table set": _table_set,
    "table del": _table_del,
    "table dump": _table_dump,
}


def _actions(actions: tuple[Action, ...]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(action) for action in actions]


def _bundle(payload: Payload) -> Bundle:
    return bundles.decode(_bytes(payload, "bundle"))


def _options(payload: Payload) -> Options:
    from ebpfnf.agent.plan import Options

    return Options(**{field.name: payload.get(field.name) is True for field in dataclasses.fields(Options)})


def _manager(payload: Payload) -> Manager | None:
    from ebpfnf.agent import store

    said = payload.get("manager")
    return None if said is None else _record(store.Manager, {"run": "", **said} if isinstance(said, dict) else said, "manager")


def _signature(payload: Payload) -> Signature | None:
    from ebpfnf.agent.signature import Signature

    said = payload.get("signature")
    return None if said is None else _record(Signature, said, "signature")


def _record(kind: type[T], said: Any, key: str) -> T:
    try:
        made: T = bundles.from_json(kind, said)
    except (ValueError, KeyError, TypeError):
        raise AgentError(f"'{key}' is not what the agent wants there") from None
    return made


def _deployment(payload: Payload) -> str:
    name = _text(payload, "deployment")
    if not is_kebab(name):
        raise AgentError(f"'{name}' can't name a deployment: {KEBAB_WANTED}")
    return name


def _text(payload: Payload, key: str) -> str:
    value = _given(payload, key)
    if not isinstance(value, str):
        raise AgentError(f"'{key}' is a text, not {type(value).__name__}")
    return value


def _bytes(payload: Payload, key: str) -> bytes:
    try:
        return base64.b64decode(_text(payload, key), validate=True)
    except (binascii.Error, ValueError):
        raise AgentError(f"'{key}' is not base64", cure=f"send the {key}'s bytes in base64") from None


def _list(payload: Payload, key: str) -> list[Payload]:
    value = _given(payload, key)
    if not (isinstance(value, list) and all(isinstance(each, dict) for each in value)):
        raise AgentError(f"'{key}' is a list of objects")
    return value


def _given(payload: Payload, key: str) -> Any:
    if key not in payload:
        raise AgentError(f"'{key}' is missing in what the agent was sent")
    return payload[key]
