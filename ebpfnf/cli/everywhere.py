"""The same verbs on many hosts: side by side, with a table that shows how far each is, a result for each, and one exit code."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ebpfnf.cli import text
from ebpfnf.cli.text import Output

if TYPE_CHECKING:
    from ebpfnf.fleet.change import Fleet, Outcome, Watch
    from ebpfnf.fleet.inventory import Target
    from ebpfnf.model import Bundle

PARTIAL, FAILED = 4, 3
Show = Callable[[Any], str | None]


@contextmanager
def fleet(hosts: str) -> Iterator[Fleet]:
    """The hosts that `FILE[:GROUP]` names."""
    from ebpfnf.fleet import inventory
    from ebpfnf.fleet.change import Fleet

    with Fleet(inventory.select(hosts)) as found:
        yield found


@contextmanager
def watched(names: Sequence[str]) -> Iterator[Watch]:
    """A table that shows what happens on each host, while it happens and at a terminal."""
    said, lock = dict.fromkeys(names, "connecting"), threading.Lock()
    with text.table_of_progress(said) as redraw:

        def watch(host: str, words: str) -> None:
            with lock:
                said[host] = words
                redraw()

        yield watch


def deploy(hosts: str, bundle: Bundle, options: Mapping[str, Any], key: Path | None, dry_run: bool, output: Output) -> None:
    """The bundle on all hosts at once."""
    from ebpfnf.fleet.change import ask, change, parcels, plan_digest

    with fleet(hosts) as found, watched(list(found.hosts)) as watch:
        sent = parcels(bundle, _targets(found), options, key)
        if dry_run:
            outcomes = found.each(lambda host: ask(host, "dry-run", sent[host.name].payload(), watch))
        else:
            plan = plan_digest({"deploy": {name: parcel.bundle.digest for name, parcel in sent.items()}})
            outcomes = change(found, bundle.deployment, "apply", lambda name, manager: sent[name].payload(manager), plan, watch)
    report(outcomes, output, actions if dry_run else result)


def plan(hosts: str, bundle: Bundle, options: Mapping[str, Any], output: Output) -> bool:
    """What a deploy would do on each host; whether it would do anything."""
    from ebpfnf.fleet.change import ask, parcels

    with fleet(hosts) as found, watched(list(found.hosts)) as watch:
        sent, said = parcels(bundle, _targets(found), options), {name: list[str]() for name in found.hosts}

        def hear(name: str, event: Mapping[str, Any]) -> None:
            said[name].append(f"{event['step']}: {name}: {event['detail']}")

        outcomes = found.each(lambda host: ask(host, "plan", sent[host.name].payload(), watch, partial(hear, host.name)))
    for words in dict.fromkeys(words for each in said.values() for words in each):
        text.note(words)
    report(outcomes, output, actions)
    return any(each.result for each in outcomes)


def change(hosts: str, deployment: str, command: str, output: Output) -> None:
    """A rollback or an undeploy on all hosts at once."""
    from ebpfnf.fleet.change import change, plan_digest

    with fleet(hosts) as found, watched(list(found.hosts)) as watch:
        plan = plan_digest({command: deployment, "hosts": sorted(found.hosts)})
        payload = {"deployment": deployment}
        outcomes = change(found, deployment, command, lambda name, manager: {**payload, "manager": manager}, plan, watch)
    report(outcomes, output, result)


def query(hosts: str, command: str, payload: Mapping[str, Any], output: Output, show: Show) -> None:
    """A command that needs no epoch, on all hosts."""
    from ebpfnf.fleet.change import ask

    with fleet(hosts) as found, watched(list(found.hosts)) as watch:
        outcomes = found.each(lambda host: ask(host, command, payload, watch))
    report(outcomes, output, show)


def test(hosts: str, file: Path, granularity: str, output: Output) -> None:
    """The expectations of a chain.yaml on each host's kernel; exit code 3 where one does not hold."""
    from ebpfnf import pipeline, spec
    from ebpfnf.analyse import expect
    from ebpfnf.fleet.change import ask, parcels

    deployment = spec.load(file)
    with text.working(f"compiling {file}"):
        bundle = pipeline.build(deployment, granularity)
    packets = expect.sent(deployment)
    with fleet(hosts) as found, watched(list(found.hosts)) as watch:
        sent = parcels(bundle, _targets(found), {})
        outcomes = found.each(lambda host: ask(host, "try", {**sent[host.name].payload(), "frames": packets}, watch))
    checked = {each.host: expect.judged(deployment, bundle, each.result) for each in outcomes if not each.error}
    wrong = {host: [f"{c.expectation.where}: {words}" for c in each for words in c.wrong] for host, each in checked.items()}
    if output is Output.json:
        failed = {each.host: {"error": text.described(each.error)} for each in outcomes if each.error}
        text.as_json({"hosts": {**{host: {"expectations": len(checked[host]), "wrong": words} for host, words in wrong.items()}, **failed}})
    else:
        for host, words in wrong.items():
            text.line("\n     ".join([f"{host}: {len(checked[host])} packets" + (", FAIL" if words else ", ok"), *words]))
    finish(outcomes, quiet=output is Output.json)
    if any(wrong.values()):
        raise typer.Exit(FAILED)


def status(hosts: str, deployment: str, output: Output) -> None:
    """What runs on each host, a line for each deployment."""
    from ebpfnf.fleet.change import ask

    with fleet(hosts) as found, watched(list(found.hosts)) as watch:
        payload = {"deployment": deployment} if deployment else {}
        outcomes = found.each(lambda host: ask(host, "status", payload, watch))
    if output is Output.json:
        report(outcomes, output, str)
        return
    rows: list[Sequence[Any]] = []
    for each in outcomes:
        for one in [] if each.error else [each.result] if deployment else each.result:
            packets, drops = sum(chain["packets"] for chain in one["chains"]), sum(one["drops"].values())
            runs = f"generation {one['generation']}" if one["running"] else "does not run"
            attached = sum(1 for port in one["ports"] if port["attached"])
            digest = str(one["digest"] or "")[:12]
            rows.append(
                (each.host, one["deployment"], runs, digest, f"{attached}/{len(one['ports'])}", packets, drops, len(one["warnings"]))
            )
    columns = ("host", "deployment", "runs", "digest", "attached#", "packets#", "drops#", "warnings#")
    text.table("", columns, rows) if rows else text.line("nothing is deployed there")
    for each in outcomes:
        for one in [] if each.error else [each.result] if deployment else each.result:
            for warning in one["warnings"]:
                text.note(f"warning: {each.host}: {warning}")
    finish(outcomes)


def metrics(hosts: str) -> None:
    """What runs on each host as Prometheus reads it, with its name as a label."""
    from ebpfnf.fleet.change import ask
    from ebpfnf.observe import prometheus

    with fleet(hosts) as found, watched(list(found.hosts)) as watch:
        outcomes = found.each(lambda host: ask(host, "status", {}, watch))
    text.line(prometheus.metrics(({"host": each.host}, one) for each in outcomes if not each.error for one in each.result).rstrip("\n"))
    finish(outcomes)


def report(outcomes: Sequence[Outcome], output: Output, show: Show) -> None:
    """A result or an error for each host, then the exit code."""
    if output is Output.json:
        told = {each.host: {"error": text.described(each.error)} if each.error else {"result": each.result} for each in outcomes}
        text.as_json({"hosts": told})
        finish(outcomes, quiet=True)
        return
    for each in outcomes:
        if not each.error:
            text.line(f"{each.host}: {show(each.result)}")
    finish(outcomes)


def finish(outcomes: Sequence[Outcome], quiet: bool = False) -> None:
    """Errors by host; the code of all where all failed alike, 4 where some did."""
    failed = [each.error for each in outcomes if each.error]
    for each in outcomes:
        if each.error and not quiet:
            text.note(f"error: {each.host}: {each.error}")
    if failed:
        codes = {error.exit_code for error in failed}
        raise typer.Exit(codes.pop() if len(failed) == len(outcomes) and len(codes) == 1 else PARTIAL)


def actions(steps: Sequence[Mapping[str, Any]]) -> str:
    """What would be done on a host."""
    return ", ".join(f"{each['verb']} {each['what']}" for each in steps) or "nothing to do"


def result(done: Mapping[str, Any]) -> str:
    """What a change did on a host."""
    generation = done["generation"]
    words = f"generation {generation} runs" if generation else "removed" if done["changed"] else "does not run"
    warnings = "".join(f"; warning: {each}" for each in done["warnings"])
    return f"{words}{'' if done['changed'] or not generation else ', nothing to do'}{warnings}"


def _targets(found: Fleet) -> list[Target]:
    return [host.target for host in found.hosts.values()]
