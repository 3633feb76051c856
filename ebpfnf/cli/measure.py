"""What measures this host: profile, bench."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ebpfnf.cli import text
from ebpfnf.cli.common import ChainFile, OutputOption
from ebpfnf.cli.text import Output
from ebpfnf.errors import EbpfnfError


def profile(
    file: ChainFile,
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Keep the result for `granularity: auto` and plans.")] = True,
    output: OutputOption = Output.text,
) -> None:
    """Measure what the mNFs of a chain.yaml cost on this host. And hops between programs."""
    from ebpfnf import spec
    from ebpfnf.analyse import profile as engine
    from ebpfnf.generate import costs

    deployment = spec.load(file)
    with text.working(f"measuring the mNFs of {file}"):
        found = engine.measure(deployment)
    kept = str(costs.store(found)) if keep else ""
    if output is Output.json:
        costs_ = {"entry": found.entry, "ns": found.ns, "verified": found.verified, "hops": found.hops}
        text.as_json({**costs_, "host": found.host, "kept": kept})
        return
    rows = [(name, f"{ns:.1f}", found.verified[name]) for name, ns in sorted(found.ns.items(), key=lambda item: -item[1])]
    text.table(found.host, ("mNF", "ns a packet#", "verified instructions#"), rows)
    text.line(f"parse, classify, leave: {found.entry:.1f} ns")
    for programs, ns in found.hops:
        text.line(f"a hop, up to {programs} programs: {ns:.1f} ns")
    if kept:
        text.line(f"kept in {kept}")


def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Benchmarks; none: all.", show_default=False)] = None,
    output: OutputOption = Output.text,
) -> None:
    """Run the benchmarks that the published figures come from. Needs a source checkout, root and an idle machine.

    Exit code 1: one failed, or can't run here though it was named.
    """
    folder = Path(__file__).resolve().parents[2]
    if importlib.util.find_spec("benchmarks") is None and not (folder / "benchmarks" / "__main__.py").is_file():
        raise EbpfnfError("the benchmarks are not installed", cure="run it from a source checkout")
    argv = [sys.executable, "-m", "benchmarks", *(names or []), "-o", output.value]
    with subprocess.Popen(argv, cwd=folder, start_new_session=True) as child:  # out of a terminal's reach, so that it is told once
        try:
            code = child.wait()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            child.wait()  # it takes down what it has built
            raise
    if code:
        raise typer.Exit({2: 64, -signal.SIGINT: 130}.get(code, code))  # 2 of argparse: wrong usage
