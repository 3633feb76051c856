"""Tables of a running deployment: table get, set, del, dump."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    """One entry. Exits with 1 where there is none."""
    found = _do(context, hosts, "get", {"deployment": deployment, "table": table, "key": _given(key)}, output, _entry)
    if found is None and not hosts:
        raise typer.Exit(1)


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
    _do(context, hosts, "set", payload, output, lambda _: f"{table}: {key} is set")


@app.command("del")
def del_(
    context: typer.Context, deployment: Deployment, table: Table, key: Key, hosts: HostsOption = "", output: OutputOption = Output.text
) -> None:
    """Remove one entry, atomically."""
    payload = {"deployment": deployment, "table": table, "key": _given(key)}
    _do(context, hosts, "del", payload, output, lambda there: f"{table}: {key} is gone" if there else f"{table}: there was no {key}")


@app.command("dump")
def dump(context: typer.Context, deployment: Deployment, table: Table, hosts: HostsOption = "", output: OutputOption = Output.text) -> None:
    """All entries."""
    show: everywhere.Show = _lines if hosts else lambda entries: draw.entries(table, entries)
    _do(context, hosts, "dump", {"deployment": deployment, "table": table}, output, show)


def _do(context: typer.Context, hosts: str, verb: str, payload: Mapping[str, Any], output: Output, show: everywhere.Show) -> Any:
    """On hosts or here, where it gives the result; `show`: a result in words, or None where it has printed them itself."""
    if hosts:
        everywhere.query(hosts, f"table {verb}", payload, output, show)
        return None
    result = host(context).run(f"table {verb}", payload)
    if output is Output.json:
        text.as_json(result)
    elif words := show(result):
        text.line(words)
    return result


def _entry(found: Any) -> str:
    return "no such entry" if found is None else draw.entry(found)


def _given(words: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return json.loads(words)
    except (ValueError, RecursionError):
        return words


def _lines(entries: list[list[Any]]) -> str:
    return "".join(f"\n  {draw.entry(key)}: {draw.entry(value)}" for key, value in entries) or "no entries"
