"""Networks of namespaces to learn and test on: lab up, down, exec, status; and of machines: crash, boot, cut, loss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ebpfnf.cli import text
from ebpfnf.cli.common import OutputOption
from ebpfnf.cli.text import Output
from ebpfnf.errors import AgentError, PrivilegeError

if TYPE_CHECKING:
    from ebpfnf.lab.hosts import HostLab

app = typer.Typer(help="A network of namespaces to learn and test on.", no_args_is_help=True, rich_markup_mode=None)

NameOption = Annotated[str, typer.Option("--name", help="Which lab; several stand side by side.", envvar="EBPFNF_LAB")]


Machine = Annotated[str, typer.Argument(metavar="HOST", help="A machine of the lab, such as h1.", show_default=False)]


@app.command("up")
def up(
    name: NameOption = "demo",
    hosts: Annotated[int, typer.Option("--hosts", min=0, metavar="N", help="Instead: N machines in a row, each with sshd.")] = 0,
    topology: Annotated[Path | None, typer.Option(help="Instead: the machines and cables of this file.")] = None,
    inventory: Annotated[Path | None, typer.Option(help="Where the machines' inventory is written too.")] = None,
) -> None:
    """Make a lab: a client, a device under test, servers; or machines."""
    _root()
    if hosts or topology:
        _machines_up(name, hosts, topology, inventory)
        return
    from ebpfnf.lab.lab import Lab

    lab = Lab(name)
    with text.working(f"building lab {name}"):
        lab.up()
    text.line(f"lab '{name}' is up: " + ", ".join(f"{host.name} ({lab.namespace(host.name)})" for host in lab.status()))
    text.line(f"next: ebpfnf --netns {lab.namespace('dut')} deploy examples/dc-edge/chain.yaml")


def _machines_up(name: str, hosts: int, topology: Path | None, inventory: Path | None) -> None:
    from ebpfnf.lab import hosts_topology
    from ebpfnf.lab.hosts import HostLab

    lab = HostLab(name, hosts_topology.load(topology) if topology else hosts_topology.line(hosts))
    with text.working(f"building lab {name}"):
        lab.up()
    if inventory:
        inventory.parent.mkdir(parents=True, exist_ok=True)
        inventory.write_text(lab.inventory.read_text())
    text.line(f"lab '{name}' is up: " + ", ".join(f"{machine.name} ({machine.address})" for machine in lab.status()))
    text.line(f"next: ebpfnf deploy examples/fleet/chain.yaml --hosts {inventory or lab.inventory}")


@app.command("down")
def down(name: NameOption = "demo") -> None:
    """Remove a lab, also what is left of one that broke."""
    from ebpfnf.lab.hosts import HostLab
    from ebpfnf.lab.lab import Lab

    _root()
    Lab(name).down()
    HostLab(name).down()
    text.line(f"lab '{name}' is gone")


@app.command("exec", context_settings={"ignore_unknown_options": True})
def exec_(
    host: Annotated[str, typer.Argument(metavar="HOST", help="client, dut, web1 or web2; or a machine.", show_default=False)],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="What to run there.", show_default=False)],
    name: NameOption = "demo",
) -> None:
    """Run a command inside a host of the lab."""
    from ebpfnf.lab.lab import Lab

    _root()
    machines = _machines(name)
    if machines and host in {each.name for each in machines.topology.hosts}:
        import subprocess

        raise typer.Exit(subprocess.run(machines.command(host, command), check=False).returncode)
    raise typer.Exit(Lab(name).run_in(host, command).returncode)


@app.command("crash")
def crash(host: Machine, name: NameOption = "demo") -> None:
    """Cut a machine's power. Processes, /run, pins and ports are gone, its disk stays."""
    _lab(name).crash(host)
    text.line(f"{host} is off")


@app.command("boot")
def boot(host: Machine, name: NameOption = "demo") -> None:
    """Give a machine power again. What its disk says ran before runs again."""
    _lab(name).boot(host)
    text.line(f"{host} is on")


@app.command("cut")
def cut(
    host: Machine,
    port: Annotated[str, typer.Option(help="Which of its ports; mgmt0 is the one by which it is managed.")] = "mgmt0",
    mend: Annotated[bool, typer.Option("--mend", help="The other way round: it carries again.")] = False,
    name: NameOption = "demo",
) -> None:
    """Let a machine's cable carry nothing any more."""
    _lab(name).cut(host, port, on=mend)
    text.line(f"{host}:{port} is {'mended' if mend else 'cut'}")


@app.command("loss")
def loss(
    host: Machine,
    percent: Annotated[int, typer.Argument(metavar="PERCENT", help="0 for none.", show_default=False)],
    name: NameOption = "demo",
) -> None:
    """Lose a share of the packets that manage a machine, both ways."""
    _lab(name).loss(host, percent)
    text.line(f"{host} loses {percent} % of what manages it")


def _machines(name: str) -> HostLab | None:
    from ebpfnf.lab.hosts import HostLab, host_labs

    return HostLab(name) if name in host_labs() else None


def _lab(name: str) -> HostLab:
    _root()
    lab = _machines(name)
    if lab is None:
        raise AgentError(f"no lab of machines '{name}' is up", cure=f"ebpfnf lab up --hosts 3 --name {name}")
    return lab


@app.command("status")
def status(output: OutputOption = Output.text) -> None:
    """Show the labs and their hosts."""
    import dataclasses

    from ebpfnf.lab.hosts import HostLab, host_labs
    from ebpfnf.lab.lab import Lab, labs

    spaces = {name: Lab(name).status() for name in labs()}
    machines = {name: HostLab(name).status() for name in host_labs()}
    if output is Output.json:
        text.as_json(
            {
                name: [dataclasses.asdict(host) for host in spaces.get(name, ())] + [dataclasses.asdict(m) for m in machines.get(name, ())]
                for name in (*spaces, *machines)
            }
        )
        return
    if not spaces and not machines:
        text.line("no lab is up")
    for name, hosts in spaces.items():
        rows = [
            (h.name, h.namespace, "up" if h.up else "gone", f"pid {h.server}" if h.server else "", "\n".join(h.addresses)) for h in hosts
        ]
        text.table(f"lab {name}", ("host", "namespace", "state", "web server", "addresses"), rows)
    for name, row in machines.items():
        text.table(f"lab {name}", ("machine", "address", "state"), [(m.name, m.address, "on" if m.pid else "off") for m in row])


def _root() -> None:
    import os

    if os.geteuid() != 0:
        raise PrivilegeError("a lab needs root", cure="run it through sudo")
