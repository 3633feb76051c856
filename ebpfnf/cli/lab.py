"""A network in namespaces to learn and test on: lab up, down, exec, status."""

from __future__ import annotations

from typing import Annotated

import typer

from ebpfnf.cli import text
from ebpfnf.cli.common import OutputOption
from ebpfnf.cli.text import Output
from ebpfnf.errors import PrivilegeError

app = typer.Typer(help="A network of namespaces to learn and test on.", no_args_is_help=True, rich_markup_mode=None)

NameOption = Annotated[str, typer.Option("--name", help="Which lab; several stand side by side.")]


@app.command("up")
def up(name: NameOption = "demo") -> None:
    """Make the lab: a client, a device under test, two web servers behind it."""
    from ebpfnf.lab.lab import Lab

    _root()
    lab = Lab(name)
    with text.working(f"building lab {name}"):
        lab.up()
    text.line(f"lab '{name}' is up: " + ", ".join(f"{host.name} ({lab.namespace(host.name)})" for host in lab.status()))
    text.line(f"next: ebpfnf --netns {lab.namespace('dut')} deploy examples/dc-edge/chain.yaml")


@app.command("down")
def down(name: NameOption = "demo") -> None:
    """Remove the lab with its namespaces and servers; what is left of a lab that broke is removed too."""
    from ebpfnf.lab.lab import Lab

    _root()
    Lab(name).down()
    text.line(f"lab '{name}' is gone")


@app.command("exec", context_settings={"ignore_unknown_options": True})
def exec_(
    host: Annotated[str, typer.Argument(metavar="HOST", help="client, dut, web1 or web2.", show_default=False)],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="What to run there.", show_default=False)],
    name: NameOption = "demo",
) -> None:
    """Run a command inside a host of the lab."""
    from ebpfnf.lab.lab import Lab

    _root()
    raise typer.Exit(Lab(name).run_in(host, command).returncode)


@app.command("status")
def status(output: OutputOption = Output.text) -> None:
    """Show the labs and their hosts."""
    import dataclasses

    from ebpfnf.lab.lab import Lab, labs

    found = {name: Lab(name).status() for name in labs()}
    if output is Output.json:
        text.as_json({name: [dataclasses.asdict(host) for host in hosts] for name, hosts in found.items()})
    elif not found:
        text.line("no lab is up")
    else:
        for name, hosts in found.items():
            for host in hosts:
                text.line(f"{name}: {host}")


def _root() -> None:
    import os

    if os.geteuid() != 0:
        raise PrivilegeError("a lab needs root", cure="run it through sudo")
