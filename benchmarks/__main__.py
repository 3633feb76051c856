"""`python -m benchmarks [NAME...] [-o json]`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import control_plane, data_plane, fleet, monoliths, plots, tables, wire
from benchmarks.measure import Figure

BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    **data_plane.BENCHMARKS,
    "chain-vs-monoliths": monoliths.run,
    **wire.BENCHMARKS,
    "tables": tables.run,
    "control-plane": control_plane.run,
    "fleet": fleet.run,
}


def _short(number: float) -> str:
    """Ratios with hundredths, times with tenths."""
    return f"{number:.2f}" if abs(number) < 10 else f"{number:,.1f}"


def main() -> int:
    """Run what was named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure ebpfnf on this machine.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw the figures there")
    given = parser.parse_args()
    unknown = set(given.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}")
    results = {name: BENCHMARKS[name]() for name in given.names or BENCHMARKS}
    if given.plots:
        plots.draw(results, given.plots)
    if given.output == "json":
        json.dump({name: [dataclasses.asdict(f) for f in figures] for name, figures in results.items()}, sys.stdout, indent=2)
        print()
        return 0
    for name, figures in results.items():
        print(name)
        for f in figures:
            goal = "" if f.goal is None else f"  goal <= {f.goal:g} {f.unit}: {'met' if f.met else 'MISSED'}"
            print(f"  {f.name:<48} {_short(f.median):>9} {f.unit}  ({_short(f.low)} to {_short(f.high)}, {f.rounds} rounds){goal}")
    return 0


sys.exit(main())
