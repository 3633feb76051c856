"""Arguments and options that several commands share."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ebpfnf.cli.text import Output

if TYPE_CHECKING:
    from ebpfnf.fleet.host import Host
    from ebpfnf.model import Bundle
    from ebpfnf.model import Deployment as Said

PENDING = 2  # exit code: there are changes to be made

ChainFile = Annotated[Path, typer.Argument(metavar="CHAIN.YAML", help="The deployment's file.", show_default=False)]
Deployment = Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="A deployment's name.", show_default=False)]
OutputOption = Annotated[Output, typer.Option("-o", "--output", help="How the result is printed.")]
KeepOption = Annotated[bool, typer.Option("--keep-entries", help="Keep table entries that were changed live.")]
DiscardOption = Annotated[bool, typer.Option("--discard-entries", help="Let the file's entries replace what was changed live.")]
YesOption = Annotated[bool, typer.Option("-y", "--yes", help="Don't ask.")]
HostsOption = Annotated[
    str,
    typer.Option("--hosts", metavar="FILE[:GROUP]", help="By ssh on the hosts of an inventory, or of a group in it; 'here': this machine."),
]
SignOption = Annotated[Path | None, typer.Option("--sign", metavar="KEY", help="Sign for hosts that take signed bundles only: an ssh key.")]
GranularityOption = Annotated[str, typer.Option("--granularity", help="Override the file's: auto, mnf, vnf or chain.", metavar="G")]


def host(context: typer.Context, ahead: str = "") -> Host:
    """Where the commands act: this machine, or a network namespace of it. `ahead`: a command that will follow, to get ready for."""
    from ebpfnf.cli import early

    here = early.host(context.obj or "")
    if ahead:
        here.begin(ahead)
    return here


def shipped(bundle: Bundle) -> dict[str, Any]:
    """A bundle as the agent takes it."""
    from ebpfnf.bundle import encode

    return {"bundle": base64.b64encode(encode(bundle)).decode()}


def placed(context: typer.Context, file: Path, hosts: str) -> str:
    """The hosts to act on: those given, else those of the file's `place:`; empty for this machine."""
    if hosts or context.obj:
        return "" if hosts == "here" else hosts
    return _loaded(file).place


def built(file: Path, wanted: str) -> Bundle:
    """The bundle of a chain.yaml, compiled before the eyes of the user."""
    from ebpfnf.cli import text
    from ebpfnf.compile import ahead

    with text.working(f"compiling {file}"), ahead(file):
        from ebpfnf import pipeline  # while the compiler gets ready

        return pipeline.build(_loaded(file), granularity(wanted))


@cache
def _loaded(file: Path) -> Said:
    from ebpfnf import spec

    return spec.load(file)


def granularity(text: str) -> str:
    """A granularity as given on the command line."""
    if text not in ("", "auto", "mnf", "vnf", "chain"):
        raise typer.BadParameter(f"'{text}' is no granularity: auto, mnf, vnf or chain")
    return text


def discarding(bundle: Bundle, wanted: bool, yes: bool) -> None:
    """Before entries that were changed live are lost the operator is asked."""
    from ebpfnf.cli import text

    if wanted:
        text.confirmed(f"discard the entries of '{bundle.deployment}' that were changed live?", yes)
