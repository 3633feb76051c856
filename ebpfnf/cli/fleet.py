"""What there is for many hosts only: rollout, drift, history; and doctor, for here or there."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ebpfnf.cli import everywhere, text
from ebpfnf.cli.common import (
    PENDING,
    ChainFile,
    Deployment,
    DiscardOption,
    GranularityOption,
    HostsOption,
    KeepOption,
    OutputOption,
    SignOption,
    YesOption,
    discarding,
    host,
    placed,
)
from ebpfnf.cli.common import built as _built
from ebpfnf.cli.text import Output
from ebpfnf.errors import EbpfnfError

Inventory = Annotated[
    str, typer.Option("--hosts", metavar="FILE[:GROUP]", help="Inventory, and a group or host in it.", show_default=False)
]


def rollout(
    context: typer.Context,
    file: ChainFile,
    hosts: HostsOption = "",
    first: Annotated[int, typer.Option(min=1, metavar="N", help="Hosts in the first batch.")] = 1,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Hosts in each batch after it.")] = 1,
    soak: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Seconds until a batch is looked at.")] = 2.0,
    max_drops: Annotated[float, typer.Option(min=0, max=100, metavar="PERCENT", help="Of packets that may be dropped.")] = 100.0,
    forbid: Annotated[list[str] | None, typer.Option(metavar="REASON", help="Nothing may be dropped for this reason.")] = None,
    check: Annotated[str, typer.Option(metavar="COMMAND", help="Must succeed for each host; EBPFNF_HOST names it.")] = "",
    stop: Annotated[bool, typer.Option("--stop", help="Where a host is not well, stop without rolling back.")] = False,
    keep_entries: KeepOption = False,
    discard_entries: DiscardOption = False,
    yes: YesOption = False,
    granularity_: GranularityOption = "",
    sign: SignOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Deploy host by host, and go back when one is not well. Run again, it goes on where it was cut off."""
    from ebpfnf.fleet.change import parcels
    from ebpfnf.fleet.gate import Gates
    from ebpfnf.fleet.rollout import Policy, Rollout

    bundle = _built(file, granularity_)
    discarding(bundle, discard_entries, yes)
    options = {"keep_entries": keep_entries, "discard_entries": discard_entries}
    gates = Gates(max_drops, tuple(forbid or ()), check)
    policy = Policy(first, batch, soak, gates, "stop" if stop else "rollback")
    with everywhere.fleet(_named(context, file, hosts)) as found, everywhere.watched(list(found.hosts)) as watch:
        sent = parcels(bundle, [each.target for each in found.hosts.values()], options, sign)
        report = Rollout(found, bundle.deployment, sent, policy, watch).run()
    if output is Output.json:
        text.as_json(dataclasses.asdict(report))
    else:
        text.table("", ("host", "state", "because"), [(name, state, report.why.get(name, "")) for name, state in report.hosts.items()])
        resumed = "taken up again, " if report.resumed else ""
        text.line(f"{bundle.deployment}: {resumed}epoch {report.epoch}, " + ("complete" if report.complete else "not complete"))
    if not report.complete:
        raise typer.Exit(everywhere.PARTIAL)


def drift(
    context: typer.Context,
    file: ChainFile,
    hosts: HostsOption = "",
    granularity_: GranularityOption = "",
    output: OutputOption = Output.text,
) -> None:
    """Show where hosts differ from a chain.yaml. Now, or after a reboot; exits with 2 if any does."""
    from ebpfnf.fleet.change import ask, bundle_for
    from ebpfnf.fleet.rollout import drift as differences

    bundle = _built(file, granularity_)
    about = {"deployment": bundle.deployment}
    with everywhere.fleet(_named(context, file, hosts)) as found, everywhere.watched(list(found.hosts)) as watch:
        outcomes = found.each(lambda one: (ask(one, "status", about, watch), ask(one, "kept", about, watch)))
        digests = {name: bundle_for(bundle, one.target).digest for name, one in found.hosts.items()}
    well = [each for each in outcomes if not each.error]
    words = differences({e.host: e.result[0] for e in well}, digests, {e.host: e.result[1]["digest"] for e in well})
    if output is Output.json:
        text.as_json({"hosts": {**words, **{e.host: {"error": text.described(e.error)} for e in outcomes if e.error}}})
    else:
        text.table("", ("host", "differs"), [(name, "; ".join(each) or "no") for name, each in words.items()])
    everywhere.finish(outcomes, quiet=output is Output.json)
    if any(words.values()):
        raise typer.Exit(PENDING)


def _named(context: typer.Context, file: Path, hosts: str) -> str:
    found = placed(context, file, hosts)
    if not found:
        raise EbpfnfError("no hosts are named", cure="add --hosts FILE[:GROUP], or 'place: {hosts: ...}' to the file")
    return found


def history(deployment: Deployment, hosts: Inventory, output: OutputOption = Output.text) -> None:
    """Show who changed a deployment on each host, when, and how."""
    from ebpfnf.fleet.change import ask

    with everywhere.fleet(hosts) as found, everywhere.watched(list(found.hosts)) as watch:
        outcomes = found.each(lambda one: ask(one, "kept", {"deployment": deployment}, watch)["history"])
    if not any(each.error or each.result for each in outcomes):
        raise EbpfnfError(f"no manager changed a deployment '{deployment}' there", cure="'ebpfnf status --hosts' names those that run")
    if output is Output.json:
        everywhere.report(outcomes, output, str)
        return
    rows = [_entry(each.host, entry) for each in outcomes if not each.error for entry in finished(each.result)]
    columns = ("host", "when", "verb", "who", "epoch#", "bundle", "what")
    if rows:
        text.table("", columns, sorted(rows, key=lambda row: str(row[1])))
    everywhere.finish(outcomes)


def finished(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without the beginnings of what also ended."""
    return [one for one, after in zip(entries, [*entries[1:], {}], strict=False) if not ("begun" in one and _same(one, after))]


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(key) == other.get(key) for key in ("verb", "epoch", "by"))


def _entry(name: str, entry: Mapping[str, Any]) -> Sequence[Any]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["at"]))
    generation = f"generation {entry['generation']} runs" if entry.get("generation") else "nothing runs"
    what = entry.get("error") or ("cut off" if "begun" in entry else generation if "generation" in entry else "nothing to do")
    return (name, when, entry["verb"], entry["by"], entry["epoch"], str(entry.get("digest", ""))[:12], what)


def doctor(
    context: typer.Context,
    ports: Annotated[list[str] | None, typer.Argument(metavar="INTERFACE", help="Interfaces to look at; all.", show_default=False)] = None,
    hosts: HostsOption = "",
    output: OutputOption = Output.text,
) -> None:
    """Look whether a machine can run deployments. Kernel, rights, interfaces: each finding comes with its cure."""
    payload = {"interfaces": ports or []}
    if hosts:
        everywhere.query(hosts, "doctor", payload, output, _findings)
        return
    found = host(context).run("doctor", payload)
    if output is Output.json:
        text.as_json(found)
    else:
        text.line(_findings(found))
    if any(each["level"] == "error" for each in found):
        raise typer.Exit(1)


def _findings(found: Sequence[Mapping[str, Any]]) -> str:
    bad = [each for each in found if each["level"] != "ok"]
    lines = [f"  {each['level']:<7} {each['what']}: {each['said']}" + (f" ({each['cure']})" if each["cure"] else "") for each in bad]
    return "\n".join([f"{len(found)} things looked at, {len(bad)} to note", *lines])
