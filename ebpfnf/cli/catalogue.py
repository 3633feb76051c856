"""What there is to build from: VNF templates and mNFs, the built-in ones and those beside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ebpfnf.cli import text
from ebpfnf.cli.common import OutputOption
from ebpfnf.cli.draw import entry
from ebpfnf.cli.text import Output

if TYPE_CHECKING:
    from ebpfnf.model import Mnf, ParamSpec, Vnf


def catalogue(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A VNF or mNF, to see all of it.", show_default=False)] = "",
    beside: Annotated[Path, typer.Option("--beside", help="Folder with vnfs/ and mnfs/ of your own.")] = Path(),
    output: OutputOption = Output.text,
) -> None:
    """List the VNFs that chains are made of, and the mNFs in them. With a name: its parameters, reasons and tables."""
    from ebpfnf import spec

    found = spec.catalogue(beside, name)
    rows = {"vnfs": [_vnf(vnf) for vnf in found.vnfs], "mnfs": [_mnf(mnf) for mnf in found.mnfs]}
    if output is Output.json:
        text.as_json(rows)
    elif name:
        for row in (*rows["vnfs"], *rows["mnfs"]):
            _show(row)
    else:
        text.table("VNFs, for 'vnfs:' of a chain.yaml", ("vnf", "does", "parameters"), [_line(row) for row in rows["vnfs"]])
        mnfs = [(row["mnf"], row["summary"], "a VM" if row["runs_in"] == "unikernel" else "XDP") for row in rows["mnfs"]]
        text.table("mNFs, for 'mnfs:' of a template", ("mnf", "does", "in"), mnfs)
        text.line("'ebpfnf catalogue NAME' shows all of one")


def _vnf(vnf: Vnf) -> dict[str, Any]:
    inside = {name: node.mnf for name, node in vnf.mnfs()}
    return {
        "vnf": vnf.name,
        "summary": vnf.summary,
        "parameters": [_parameter(each) for each in vnf.params],
        "entry": dict(vnf.entry),
        "mnfs": {name: mnf.name for name, mnf in inside.items()},
        "reasons": {reason: words for mnf in inside.values() for reason, words in mnf.reasons.items()},
        "tables": {f"{name}.{table.name}": table.kind for name, mnf in inside.items() for table in mnf.tables},
    }


def _mnf(mnf: Mnf) -> dict[str, Any]:
    return {
        "mnf": mnf.name,
        "summary": mnf.summary,
        "runs_in": mnf.runs_in,
        "parameters": [_parameter(each) for each in mnf.params],
        "reads": sorted(mnf.reads),
        "writes": sorted(mnf.writes),
        "verdicts": list(mnf.verdicts),
        "outcomes": dict(mnf.outcomes),
        "reasons": dict(mnf.reasons),
        "tables": {table.name: table.kind for table in mnf.tables},
    }


def _parameter(param: ParamSpec) -> dict[str, Any]:
    default = param.default if isinstance(param.default, str | int | float | bool | list | tuple | None) else str(param.default)
    return {"name": param.name, "type": param.type, "required": param.required, "default": default, "doc": param.doc}


def _line(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """A row of the list; what may be left out is in brackets."""
    names = (each["name"] if each["required"] else f"[{each['name']}]" for each in row["parameters"])
    return row["vnf"], row["summary"], " ".join(names)


def _show(row: Mapping[str, Any]) -> None:
    """All of one."""
    text.line(f"{row.get('vnf') or row['mnf']}: {row['summary']}\n")
    parameters = [
        (each["name"], each["type"], "must be given" if each["required"] else entry(each["default"]) or "empty", each["doc"])
        for each in row["parameters"]
    ]
    text.table("parameters", ("name", "type", "default", "means"), parameters) if parameters else text.line("no parameters\n")
    if "vnf" in row:
        text.table("mNFs", ("node", "mNF"), list(row["mnfs"].items()))
    else:
        about = {"reads": row["reads"], "writes": row["writes"], "verdicts": row["verdicts"], "outcomes": row["outcomes"]}
        text.table("packets", ("what", "which"), [(what, ", ".join(which)) for what, which in about.items() if which])
    if row["reasons"]:
        text.table("drops", ("reason", "because"), list(row["reasons"].items()))
    if row["tables"]:
        text.table("tables", ("table", "kind"), list(row["tables"].items()))
