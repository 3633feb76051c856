"""What runs: status."""

from __future__ import annotations

from typing import Annotated

import typer

from ebpfnf.cli import draw, everywhere, text
from ebpfnf.cli.common import HostsOption, OutputOption, host
from ebpfnf.cli.text import Output


def status(
    context: typer.Context,
    deployment: Annotated[str, typer.Argument(metavar="[DEPLOYMENT]", help="Only this one.", show_default=False)] = "",
    hosts: HostsOption = "",
    output: OutputOption = Output.text,
) -> None:
    """Show what runs: ports, chains, what each mNF let through and dropped and why."""
    if hosts:
        everywhere.status(hosts, deployment, output)
        return
    found = host(context).run("status", {"deployment": deployment} if deployment else {})
    if output is Output.json:
        text.as_json(found)
    elif deployment:
        draw.status(found)
    elif not found:
        text.line("nothing is deployed here")
    else:
        for each in found:
            draw.status(each)
    if deployment and not found["running"]:
        raise typer.Exit(1)


COMMANDS = (status,)
