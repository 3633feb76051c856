"""What runs: status."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from ebpfnf.cli import draw, everywhere, text
from ebpfnf.cli.common import Deployment, HostsOption, OutputOption, host
from ebpfnf.cli.text import Output


def status(
    context: typer.Context,
    deployment: Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="Only this one.", show_default=False)] = "",
    hosts: HostsOption = "",
    output: OutputOption = Output.text,
) -> None:
    """Show what runs, what was dropped, and why."""
    if hosts:
        everywhere.status(hosts, deployment, output)
        return
    where = host(context, "status")
    if output is Output.text:
        threading.Thread(target=text.get_ready_to_draw).start()
    found = where.run("status", {"deployment": deployment} if deployment else {})
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


def watch(context: typer.Context, deployment: Deployment) -> None:
    """Mend VMs and ports of a deployment, as they fail. Ends by Ctrl-C.

    Lets what is lossy read its copies of packets. Optional: packets flow without it. It waits for a deployment that does not run yet.
    """
    host(context).run("watch", {"deployment": deployment}, lambda told: text.line(f"{told['step']} {told['what']}: {told['detail']}"))
