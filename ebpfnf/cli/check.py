"""What is checked without touching a port: test, trace, replay."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from ebpfnf.cli import everywhere, text
from ebpfnf.cli.common import ChainFile, GranularityOption, HostsOption, OutputOption, granularity
from ebpfnf.cli.text import Output

FAILED = 3


def test(
    what: Annotated[
        Path, typer.Argument(metavar="CHAIN.YAML|MNF-FOLDER", help="A deployment's file, or an mNF's folder.", show_default=False)
    ],
    granularity_: GranularityOption = "",
    hosts: HostsOption = "",
    output: OutputOption = Output.text,
) -> None:
    """Run the `expect:` packets of a chain.yaml, or an mNF's cases. They go through the real programs, on a private copy.

    With --hosts it is the hosts' kernels that run them, with their interfaces and routes in place of the file's testbed.
    """
    if hosts and not what.is_dir():
        everywhere.test(hosts, what, granularity(granularity_), output)
    elif what.is_dir():
        _cases(what, granularity(granularity_) or "chain", output)
    else:
        _expectations(what, granularity(granularity_), output)


def _expectations(file: Path, wanted: str, output: Output) -> None:
    from ebpfnf import spec
    from ebpfnf.analyse import expect

    deployment = spec.load(file)
    with text.working(f"testing {file}"):
        checked = list(expect.check(deployment, wanted))
    failed = sum(1 for each in checked if each.wrong)
    if output is Output.json:
        rows = [{"on": c.expectation.on, "packet": c.expectation.packet, "outcome": c.outcome, "wrong": list(c.wrong)} for c in checked]
        text.as_json({"expectations": rows, "passed": len(checked) - failed, "failed": failed})
    else:
        for each in checked:
            text.line(f"{'FAIL' if each.wrong else 'ok  '} {each.expectation.on}: {each.expectation.packet} => {each.outcome}")
            for words in each.wrong:
                text.line(f"     {each.expectation.where}: {words}")
        text.line(f"{len(checked) - failed} passed, {failed} failed")
    if failed:
        raise typer.Exit(FAILED)


def _cases(folder: Path, wanted: str, output: Output) -> None:
    from ebpfnf.analyse import cases, declared

    with text.working(f"running the cases of {folder.name}"):
        steps, failures = cases.run(folder, wanted)
    with text.working(f"looking for what {folder.name} touches beyond its manifest"):
        undeclared = () if failures else declared.check(folder)
    if output is Output.json:
        rows = [{"case": f.case, "what": f.what, "where": str(f.where)} for f in failures]
        beyond = [{"how": u.how, "what": u.what, "case": u.case} for u in undeclared]
        text.as_json({"steps": steps, "failures": rows, "undeclared": beyond})
    else:
        for failure in failures:
            text.line(f"FAIL {failure}")
        for each in undeclared:
            text.line(f"FAIL {folder / 'mnf.yaml'}: {each}")
        text.line(f"{steps} steps, {len(failures)} failed" + (f"; {len(undeclared)} undeclared" if undeclared else ""))
    if failures or undeclared:
        raise typer.Exit(FAILED)


def trace(
    file: ChainFile,
    on: Annotated[str, typer.Argument(metavar="PORT", help="The port that the packets come by.", show_default=False)],
    packets: Annotated[
        list[str], typer.Argument(metavar="PACKET...", help="Such as 'tcp 192.0.2.9:4000 > 198.51.100.7:80 flags S'.", show_default=False)
    ],
    granularity_: GranularityOption = "",
    output: OutputOption = Output.text,
) -> None:
    """Say which way a packet takes, stage by stage, and why it ends. Through the real programs, on a private copy.

    Several packets come one after the other: a connection that the first one begins is known to the next.
    """
    from ebpfnf import spec
    from ebpfnf.analyse import trace as engine

    deployment = spec.load(file)
    with text.working(f"tracing {file}"):
        ways = list(engine.trace(deployment, on, packets, granularity(granularity_)))
    if output is Output.json:
        rows = [{**dataclasses.asdict(way), "frame": way.frame.hex()} for way in ways]
        text.as_json({"packets": rows})
        return
    for way in ways:
        text.line(f"{on}: {way.packet}")
        wide = max((len(step.stage) for step in way.steps), default=0)
        for chain in way.chains:
            text.line(f"  chain {chain}")
            for step in way.steps:
                if step.chain == chain:
                    text.line(f"    {step.stage:<{wide}}  {step.mnf:<14}  {'' if step.way == 'NEXT' else step.way}".rstrip())
        text.line(f"  => {way.outcome}" + (f" as {engine.shown(way.frame)}" if way.changed else ""))
        if not way.outcome.startswith("REDIRECT"):
            text.line(f"     {way.because}")
        text.line("")


def replay(
    file: ChainFile,
    capture: Annotated[Path, typer.Argument(metavar="IN.PCAP|PCAPNG", help="The capture.", show_default=False)],
    on: Annotated[str, typer.Option("--on", metavar="PORT", help="The port that all frames come by.", show_default=False)] = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="OUT.PCAPNG", help="Where what leaves by a port is written.")] = None,
    granularity_: GranularityOption = "",
    output: OutputOption = Output.text,
) -> None:
    """Say what becomes of each frame of a capture. They go through the real programs, in order."""
    from ebpfnf.analyse import replay as engine

    with engine.replay_file(file, capture, on=on, out=out, granularity=granularity(granularity_)) as run:
        if output is Output.json:
            text.json_rows("frames", (engine.row_json(row) for row in run), lambda: engine.summary_json(run.summary))
            return
        for row in run:
            way = f"{row.on} -> {row.port}" if row.port else row.on
            text.line(f"{row.number:>7}  {row.time / 1e9:.6f}  {row.verdict:<8}  {row.reason:<32}  {way:<14}  {row.by}")
        text.line(", ".join([f"{run.summary.frames} frames", *(f"{n} {verdict}" for verdict, n in sorted(run.summary.verdicts.items()))]))
