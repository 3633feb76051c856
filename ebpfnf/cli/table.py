"""Tables of a running deployment: table get, set, del, dump."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ebpfnf.cli import draw, text
from ebpfnf.cli.common import Deployment, OutputOption, host
from ebpfnf.cli.text import Output

app = typer.Typer(help="Read and write the tables of a running deployment by name.", no_args_is_help=True, rich_markup_mode=None)

Table = Annotated[str, typer.Argument(metavar="TABLE", help="<instance>.<node>.<table>, such as edge.acl.rules.", show_default=False)]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The key, as dump prints it.", show_default=False)]
Value = Annotated[str, typer.Argument(metavar="VALUE", help="The value: text or JSON.", show_default=False)]


@app.command("get")
def get(context: typer.Context, deployment: Deployment, table: Table, key: Key, output: OutputOption = Output.text) -> None:
    """One entry."""
    value = host(context).run("table get", {"deployment": deployment, "table": table, "key": _given(key)})
    text.as_json(value) if output is Output.json else text.line(draw.entry(value))


@app.command("set")
def set_(context: typer.Context, deployment: Deployment, table: Table, key: Key, value: Value, output: OutputOption = Output.text) -> None:
    """Write one entry, atomically, while traffic runs."""
    result = host(context).run("table set", {"deployment": deployment, "table": table, "key": _given(key), "value": _given(value)})
    text.as_json(result) if output is Output.json else text.line(f"{table}: {key} is set")


@app.command("del")
def del_(context: typer.Context, deployment: Deployment, table: Table, key: Key, output: OutputOption = Output.text) -> None:
    """Remove one entry, atomically."""
    result = host(context).run("table del", {"deployment": deployment, "table": table, "key": _given(key)})
    text.as_json(result) if output is Output.json else text.line(f"{table}: {key} is gone")


@app.command("dump")
def dump(context: typer.Context, deployment: Deployment, table: Table, output: OutputOption = Output.text) -> None:
    """All entries."""
    result = host(context).run("table dump", {"deployment": deployment, "table": table})
    text.as_json(result) if output is Output.json else draw.entries(table, result)


def _given(words: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return json.loads(words)
    except ValueError:
        return words
