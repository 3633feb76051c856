"""Tables of a running deployment: table get, set, del, dump."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ebpfnf.cli import draw, everywhere, text
from ebpfnf.cli.common import Deployment, HostsOption, OutputOption, host
from ebpfnf.cli.text import Output

app = typer.Typer(help="Read and write the tables of a running deployment by name.", no_args_is_help=True, rich_markup_mode=None)

Table = Annotated[str, typer.Argument(metavar="TABLE", help="<instance>.<node>.<table>, such as edge.acl.rules.", show_default=False)]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The key, as dump prints it.", show_default=False)]
Value = Annotated[str, typer.Argument(metavar="VALUE", help="The value: text or JSON.", show_default=False)]


@app.command("get")
def get(
    context: typer.Context, deployment: Deployment, table: Table, key: Key, hosts: HostsOption = "", output: OutputOption = Output.text
) -> None:
    """One entry."""
    payload = {"deployment": deployment, "table": table, "key": _given(key)}
    if hosts:
        everywhere.query(hosts, "table get", payload, output, draw.entry)
        return
    result = host(context).run("table get", payload)
    text.as_json(result) if output is Output.json else text.line(draw.entry(result))


@app.command("set")
def set_(
    context: typer.Context,
    deployment: Deployment,
    table: Table,
    key: Key,
    value: Value,
    hosts: HostsOption = "",
    output: OutputOption = Output.text,
) -> None:
    """Write one entry, atomically, while traffic runs."""
    payload = {"deployment": deployment, "table": table, "key": _given(key), "value": _given(value)}
    if hosts:
        everywhere.query(hosts, "table set", payload, output, lambda _: f"{table}: {key} is set")
        return
    result = host(context).run("table set", payload)
    text.as_json(result) if output is Output.json else text.line(f"{table}: {key} is set")


@app.command("del")
def del_(
    context: typer.Context, deployment: Deployment, table: Table, key: Key, hosts: HostsOption = "", output: OutputOption = Output.text
) -> None:
    """Remove one entry, atomically."""
    payload = {"deployment": deployment, "table": table, "key": _given(key)}
    if hosts:
        everywhere.query(hosts, "table del", payload, output, lambda _: f"{table}: {key} is gone")
        return
    result = host(context).run("table del", payload)
    text.as_json(result) if output is Output.json else text.line(f"{table}: {key} is gone")


@app.command("dump")
def dump(context: typer.Context, deployment: Deployment, table: Table, hosts: HostsOption = "", output: OutputOption = Output.text) -> None:
    """All entries."""
    payload = {"deployment": deployment, "table": table}
    if hosts:
        everywhere.query(hosts, "table dump", payload, output, _lines)
        return
    result = host(context).run("table dump", payload)
    text.as_json(result) if output is Output.json else draw.entries(table, result)


def _given(words: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return json.loads(words)
    except ValueError:
        return words


def _lines(entries: list[list[Any]]) -> str:
    return "".join(f"\n  {draw.entry(key)}: {draw.entry(value)}" for key, value in entries) or "no entries"
