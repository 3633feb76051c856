"""What needs no host: validate, schema, build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ebpfnf.cli import text
from ebpfnf.cli.common import ChainFile, GranularityOption, OutputOption, built
from ebpfnf.cli.text import Output


def validate(file: ChainFile, output: OutputOption = Output.text) -> None:
    """Say everything that is wrong with a chain.yaml. What it names is read too."""
    from ebpfnf import pipeline, spec

    graph = pipeline.expand(spec.load(file))
    deployment = graph.deployment
    if output is Output.json:
        text.as_json(
            {"deployment": deployment.name, "chains": len(deployment.chains), "stages": [stage.id for stage in graph.stages], "errors": []}
        )
        return
    held = {"chain": deployment.chains, "VNF": deployment.instances, "mNF": graph.stages}
    text.line(f"{file}: ok ({', '.join(text.counted(things, noun) for noun, things in held.items())})")


def schema() -> None:
    """Print the JSON Schema of the YAML files, for editors."""
    from ebpfnf import spec

    text.as_json(spec.schema())


def build(
    file: ChainFile,
    out: Annotated[Path, typer.Option("--out", help="Where the bundle goes.", show_default=False)],
    granularity_: GranularityOption = "",
    output: OutputOption = Output.text,
) -> None:
    """Compile a chain.yaml to a bundle. It is all that a host needs, without a compiler there."""
    from ebpfnf.bundle import encode

    made = built(file, granularity_)
    data = encode(made)
    out.write_bytes(data)
    if output is Output.json:
        text.as_json({"deployment": made.deployment, "digest": made.digest, "bytes": len(data), "programs": len(made.programs)})
        return
    text.line(f"{out}: {made.deployment}, {text.counted(made.programs, 'program')}, {len(data):,} bytes, digest {made.digest[:12]}")
