"""What concerns mNFs that run in virtual machines: unikernel build."""

from __future__ import annotations

from typing import Annotated

import typer

from ebpfnf.cli import text
from ebpfnf.cli.common import OutputOption
from ebpfnf.cli.text import Output

app = typer.Typer(help="Images of mNFs that run in virtual machines.", no_args_is_help=True)


@app.callback()
def unikernel() -> None:
    """Images of mNFs that run in virtual machines."""


@app.command()
def build(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="An mNF, or several with '+' between; all of them, one by one, when left out.")
    ] = "",
    output: OutputOption = Output.text,
) -> None:
    """Build bootable images."""
    from ebpfnf.vm import build as images

    made = []
    for each in (name,) if name else images.names():
        with text.working(f"building {each}"):
            made.append((each, images.image(each)))
    if output is Output.json:
        rows = [
            {"name": each, "mnfs": [mnf.name for mnf in image.mnfs], "bytes": image.path.stat().st_size, "digest": image.digest}
            | {"path": str(image.path)}
            for each, image in made
        ]
        text.as_json({"images": rows})
        return
    for each, image in made:
        text.line(f"{image.path}: {each}, {image.path.stat().st_size:,} bytes, digest {image.digest[:12]}")
