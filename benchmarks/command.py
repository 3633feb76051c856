"""The command line: runs what was named, prints it, keeps it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import (
    beside,
    compile_cost,
    control_plane,
    data_plane,
    fleet,
    instructions,
    monoliths,
    peers,
    plan,
    plots,
    predict,
    replay,
    scale,
    segments,
    summary,
    swap,
    tables,
    two_cpus,
    vms,
    wire,
)
from benchmarks.measure import Figure, Unavailable

BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    **data_plane.BENCHMARKS,
    "chain-vs-monoliths": monoliths.run,
    "instructions": instructions.run,
    **scale.BENCHMARKS,
    **predict.BENCHMARKS,
    **segments.BENCHMARKS,
    "two-cpus": two_cpus.run,
    "beside": beside.run,
    "swap-cost": swap.run,
    "compile-cost": compile_cost.run,
    **wire.BENCHMARKS,
    **peers.BENCHMARKS,
    "tables": tables.run,
    "control-plane": control_plane.run,
    **plan.BENCHMARKS,
    "replay": replay.run,
    "fleet": fleet.run,
    "vms": vms.run,
}


def main() -> int:
    """Run what was named, or all. 0: all ran, 1: one failed, or can't run here though it was named; 2: wrong usage, 77: not root."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure ebpfnf on this machine.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; or plots: draw what was kept")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write each result there, as NAME.json")
    parser.add_argument("--from", dest="folder", type=Path, default=plots.FOLDER, metavar="FOLDER", help="where plots finds results")
    given = parser.parse_args()
    if given.names == ["plots"]:
        try:
            print("\n".join(map(str, plots.draw(given.folder))))
            if given.folder == plots.FOLDER:
                summary.write(given.folder)
                print(summary.README)
        except (Unavailable, LookupError) as missing:
            print(f"error: {missing}", file=sys.stderr)
            return 1
        return 0
    unknown = set(given.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}, plots")
    if os.geteuid():
        print("error: benchmarks load programs and make network namespaces: run them as root", file=sys.stderr)
        return 77
    results: dict[str, list[Figure]] = {}
    bad = False
    names = given.names or list(BENCHMARKS)
    with _progress(len(names)) as begins:
        for name in names:
            begins(name)
            try:
                results[name] = BENCHMARKS[name]()
            except Unavailable as missing:
                print(f"{name}: left out: {missing}", file=sys.stderr)
                bad |= bool(given.names)
                continue
            except Exception as error:  # the others are worth running
                print(f"{name}: failed: {error}", file=sys.stderr)
                bad = True
                continue
            if given.keep:
                given.keep.mkdir(parents=True, exist_ok=True)
                (given.keep / f"{name}.json").write_text(json.dumps(_plain(results[name]), indent=1) + "\n")
    if given.output == "json":
        json.dump({name: _plain(figures) for name, figures in results.items()}, sys.stdout, indent=2)
        print()
    else:
        for name, figures in results.items():
            _print(name, figures)
    return int(bad)


def _plain(figures: list[Figure]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(each) for each in figures]


def _print(name: str, figures: list[Figure]) -> None:
    print(name)
    for f in figures:
        goal = "" if f.goal is None else f"  goal <= {f.goal:g} {f.unit}: {'met' if f.met else 'MISSED'}"
        print(f"  {f.name:<60} {_short(f.median):>9} {f.unit}  ({_short(f.low)} to {_short(f.high)}, {f.rounds} rounds){goal}")


def _short(number: float) -> str:
    """Ratios with hundredths, times with tenths."""
    return f"{number:.2f}" if abs(number) < 10 else f"{number:,.1f}"


@contextmanager
def _progress(count: int) -> Iterator[Callable[[str], None]]:
    """A bar for a person who waits: which one runs, how many are left, how long it takes."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=count)
        started: list[str] = []

        def begins(name: str) -> None:
            bar.update(task, description=name, completed=len(started))
            started.append(name)

        yield begins
