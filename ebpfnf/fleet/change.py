"""Many hosts at once: each does its part, one that fails or falls silent holds up no other."""

from __future__ import annotations

import base64
import dataclasses
import getpass
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ebpfnf import bundle as bundles
from ebpfnf.errors import Busy, EbpfnfError, HostUnreachable, NotReached
from ebpfnf.fleet import ship, sign
from ebpfnf.fleet.host import OnEvent, ignore
from ebpfnf.fleet.inventory import Target
from ebpfnf.fleet.remote import SshHost
from ebpfnf.model import Bundle

PARALLEL = 32
PATIENCE = 20.0  # seconds for a change of somebody else's to end
Watch = Callable[[str, str], None]  # host, what happens there


def unwatched(host: str, words: str) -> None:
    """A `Watch` for callers who only want the results."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one host: a result, or an error."""

    host: str
    result: Any = None
    error: EbpfnfError | None = None


class Fleet:
    """Connections to hosts; closed at the end of a `with`."""

    def __init__(self, targets: Sequence[Target], environment: Mapping[str, Mapping[str, str]] | None = None) -> None:
        ship.agent()  # made once, before the threads want it
        self.hosts = {target.name: SshHost(target, (environment or {}).get(target.name)) for target in targets}

    def each(self, work: Callable[[SshHost], Any], names: Iterable[str] | None = None) -> tuple[Outcome, ...]:
        """`work` for every host, or those named, side by side; outcomes in the same order."""
        chosen = [self.hosts[name] for name in (self.hosts if names is None else names)]
        if not chosen:
            return ()
        with ThreadPoolExecutor(min(len(chosen), PARALLEL), thread_name_prefix="host") as pool:
            try:
                return tuple(pool.map(lambda host: _outcome(host, work), chosen))
            except BaseException:  # interrupted: the threads would go on until every host has answered
                for host in chosen:
                    host.give_up()
                raise

    def close(self) -> None:
        """Ends the connections."""
        for host in self.hosts.values():
            host.close()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _outcome(host: SshHost, work: Callable[[SshHost], Any]) -> Outcome:
    try:
        return Outcome(host.name, work(host))
    except EbpfnfError as error:
        return Outcome(host.name, error=error)


def ask(host: SshHost, command: str, payload: Mapping[str, Any], watch: Watch = unwatched, hear: OnEvent = ignore) -> Any:
    """A command of the agent, once more where the answer was lost: all of them may be done twice. `hear`: what it says along the way.

    Where another change runs there, perhaps that of a manager that died, its end is waited for.
    """
    watch(host.name, command)

    def say(event: Mapping[str, Any]) -> None:
        watch(host.name, f"{command}: {event['step']}")
        hear(event)

    until = time.monotonic() + PATIENCE
    lost: HostUnreachable | None = None
    while True:
        try:
            return host.run(command, payload, say)
        except NotReached as error:
            raise lost or error from None
        except HostUnreachable as error:
            if lost:
                raise
            lost = error
            watch(host.name, "unknown, asking again")
        except Busy:
            if time.monotonic() > until:
                raise
            watch(host.name, "another change runs there, waiting")
            time.sleep(0.1)


def bundle_for(bundle: Bundle, target: Target) -> Bundle:
    """The bundle with this host's interfaces behind its ports."""
    ports = tuple(dataclasses.replace(port, interface=target.ports.get(port.name, port.interface)) for port in bundle.ports)
    return bundle if ports == bundle.ports else bundles.sealed(dataclasses.replace(bundle, ports=ports))


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a host is sent: its bundle, how entries that were changed live are treated, and the signature."""

    bundle: Bundle
    options: Mapping[str, Any]

    def payload(self, manager: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """As the agent takes it."""
        data = base64.b64encode(bundles.encode(self.bundle)).decode()
        return {"bundle": data, **self.options, **({"manager": manager} if manager else {})}


def parcels(bundle: Bundle, targets: Sequence[Target], options: Mapping[str, Any], key: Path | None = None) -> dict[str, Parcel]:
    """For each host; signed where there is a key. Sequences are seconds, so that what is signed later is newer."""
    sequence, made = int(time.time()), dict[str, Bundle]()
    signatures: dict[str, Mapping[str, Any]] = {}
    for target in targets:
        made[target.name] = one = bundle_for(bundle, target)
        if key and one.digest not in signatures:
            signatures[one.digest] = {"signature": sign.sign(one, key, sequence)}
    return {name: Parcel(one, {**options, **signatures.get(one.digest, {})}) for name, one in made.items()}


def plan_digest(about: Mapping[str, Any]) -> str:
    """What a change comes to, so that it is known again."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


def whoami() -> str:
    """Who asks for a change, as the hosts' logs name him."""
    return f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{socket.gethostname()}"


def manager_of(kept: Iterable[Mapping[str, Any]], plan: str) -> dict[str, Any]:
    """The manager for a change, from what the hosts keep: of the same epoch if it was begun and nobody came between, else of the next."""
    claims = [each["claim"] for each in kept]
    highest = max((claim["epoch"] for claim in claims), default=0)
    begun = any(claim["epoch"] == highest and claim["plan"] == plan for claim in claims)
    return {"by": whoami(), "epoch": highest if begun and highest else highest + 1, "plan": plan}


def change(
    fleet: Fleet, deployment: str, command: str, payload: Callable[[str, Mapping[str, Any]], Mapping[str, Any]], plan: str, watch: Watch
) -> tuple[Outcome, ...]:
    """The command on all hosts at once, under an epoch that is newer than all that is known. `payload`: of a host, for a manager."""
    kept = fleet.each(lambda host: ask(host, "kept", {"deployment": deployment}, watch))
    manager = manager_of((each.result for each in kept if each.error is None), plan)
    lost = {each.host: each for each in kept if each.error is not None}
    able = [name for name in fleet.hosts if name not in lost]
    done = fleet.each(lambda host: ask(host, command, payload(host.name, manager), watch), able)
    by_name = {**lost, **{each.host: each for each in done}}
    return tuple(by_name[name] for name in fleet.hosts)
