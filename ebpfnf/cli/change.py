"""What changes a host, and the plan of it: plan, deploy, swap, rollback, undeploy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ebpfnf.cli import draw, everywhere, text
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
    built,
    discarding,
    granularity,
    host,
    placed,
    shipped,
)
from ebpfnf.cli.text import Output
from ebpfnf.errors import EbpfnfError, PrivilegeError

if TYPE_CHECKING:
    from ebpfnf.fleet.host import Host


def plan(
    context: typer.Context,
    file: ChainFile,
    granularity_: GranularityOption = "",
    detailed_exitcode: Annotated[bool, typer.Option("--detailed-exitcode", help="Exit with 2 when something would change.")] = False,
    keep_entries: KeepOption = False,
    discard_entries: DiscardOption = False,
    explain_: Annotated[bool, typer.Option("--explain", help="Tell what the optimiser did, what it could not, and why.")] = False,
    drawings: Annotated[Path | None, typer.Option("--svg", metavar="FOLDER", help="With --explain: draw each chain into it.")] = None,
    hosts: HostsOption = "",
    output: OutputOption = Output.text,
) -> None:
    """Show what a chain.yaml means and what a deploy would do."""
    if explain_ or drawings:
        from ebpfnf.cli import explain

        explain.show(file, granularity(granularity_), drawings, output is Output.json)
        return
    where = host(context, "" if hosts else "plan")
    bundle = built(file, granularity_)
    if output is Output.text:
        draw.plan(bundle)
    if hosts := placed(context, file, hosts):
        options = {"keep_entries": keep_entries, "discard_entries": discard_entries}
        if everywhere.plan(hosts, bundle, options, output) and detailed_exitcode:
            raise typer.Exit(PENDING)
        return
    why_not, actions, said = "", [], {"differs": list[str](), "warning": list[str](), "note": list[str]()}

    def heard(event: Mapping[str, Any]) -> None:
        said[event["step"]].append(event["detail"])

    refusal: EbpfnfError | None = None
    try:
        options = {"keep_entries": keep_entries, "discard_entries": discard_entries}
        actions = where.run("plan", {**shipped(bundle), **options}, heard)
    except PrivilegeError as problem:  # what the chain means is worth knowing without root
        why_not = str(problem)
    except EbpfnfError as problem:
        why_not, refusal = str(problem), problem
    if output is Output.json:
        text.as_json(
            {
                **draw.plan_json(bundle),
                "actions": actions,
                "differs": said["differs"],
                "warnings": said["warning"],
                "notes": said["note"],
                "host": why_not or "asked",
            }
        )
        if refusal:
            raise typer.Exit(refusal.exit_code)
    elif refusal:
        raise refusal
    else:
        draw.differences(said.pop("differs"))
        draw.actions(actions, why_not)
        for kind, each in said.items():
            for words in each:
                text.note(f"{kind}: {words}")
    if detailed_exitcode and actions:
        raise typer.Exit(PENDING)


def deploy(
    context: typer.Context,
    file: ChainFile,
    granularity_: GranularityOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Load everything through the kernel's verifier, then unload it.")] = False,
    keep_entries: KeepOption = False,
    discard_entries: DiscardOption = False,
    yes: YesOption = False,
    hosts: HostsOption = "",
    sign: SignOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Make a chain.yaml run. Traffic of an earlier generation goes on until one flip; nothing changes when nothing differs."""
    command = "dry-run" if dry_run else "apply"
    where = host(context, "" if hosts else command)
    bundle = built(file, granularity_)
    options = {"keep_entries": keep_entries, "discard_entries": discard_entries}
    if hosts := placed(context, file, hosts):
        discarding(bundle, discard_entries and not dry_run, yes)
        everywhere.deploy(hosts, bundle, options, sign, dry_run, output)
        return
    payload = {**shipped(bundle), **options}
    if dry_run:
        actions = where.run(command, payload)
        if output is Output.json:
            text.as_json({"deployment": bundle.deployment, "digest": bundle.digest, "dry_run": True, "actions": actions})
        else:
            text.line(f"{file}: the kernel takes {text.counted(bundle.programs, 'program')}; nothing was changed")
            draw.actions(actions, "")
        return
    discarding(bundle, discard_entries, yes)
    _report(_run(where, command, payload, f"deploying {bundle.deployment}"), output)


def swap(
    context: typer.Context,
    file: ChainFile,
    stage: Annotated[str, typer.Argument(metavar="INSTANCE.NODE", help="The mNF to replace, such as edge.acl.", show_default=False)],
    with_: Annotated[Path, typer.Option("--with", metavar="FOLDER", help="Folder of the mNF's other version.", show_default=False)],
    granularity_: GranularityOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Load everything through the kernel's verifier, then unload it.")] = False,
    yes: YesOption = False,
    hosts: HostsOption = "",
    sign: SignOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Replace one mNF of a running deployment, under traffic. No packet is lost, none sees both versions."""
    from ebpfnf.compile import ahead

    command = "dry-run" if dry_run else "apply"
    where = host(context, "" if hosts else command)
    with text.working(f"compiling {file}"), ahead(file, with_ / "mnf.c"):
        from ebpfnf import pipeline, spec  # while the compiler gets ready

        deployment = pipeline.replace(spec.load(file), stage, spec.load_mnf(with_))
        bundle = pipeline.build(deployment, granularity(granularity_))
    options = {"keep_entries": True, "running": True}
    if hosts := placed(context, file, hosts):
        everywhere.deploy(hosts, bundle, options, sign, dry_run, output)
        return
    payload = {**shipped(bundle), **options}
    if dry_run:
        actions = where.run(command, payload)
        if output is Output.json:
            text.as_json({"deployment": bundle.deployment, "digest": bundle.digest, "dry_run": True, "actions": actions})
        else:
            text.line(f"the kernel takes '{stage}' from {with_}; nothing was changed")
        return
    _report(_run(where, command, payload, f"swapping {stage}"), output)


def _leaving(command: str, question: str, doing: str, words: str) -> Callable[..., None]:
    """A command that takes off what runs, here or on hosts, once the operator has said yes."""

    def leave(
        context: typer.Context,
        deployment: Deployment,
        yes: YesOption = False,
        hosts: HostsOption = "",
        output: OutputOption = Output.text,
    ) -> None:
        text.confirmed(question.format(deployment), yes)
        if hosts:
            everywhere.change(hosts, deployment, command, output)
            return
        _report(_run(host(context), command, {"deployment": deployment}, doing.format(deployment)), output)

    leave.__name__, leave.__doc__ = command, words
    return leave


rollback = _leaving(
    "rollback", "roll '{}' back to its earlier generation?", "rolling {} back", "Go back to the generation before, by one flip."
)
undeploy = _leaving("undeploy", "remove '{}' with all its state?", "removing {}", "Take a deployment off its ports, with all its state.")


def _run(where: Host, command: str, payload: Mapping[str, Any], words: str) -> Mapping[str, Any]:
    with text.working(words) as say:
        result: Mapping[str, Any] = where.run(command, payload, lambda event: say(f"{words}: {event['step']}"))
    return result


def _report(result: Mapping[str, Any], output: Output) -> None:
    if output is Output.json:
        text.as_json(result)
    else:
        draw.result(result)
