"""Results that were kept (`--keep FOLDER`), as drawings beside them: `python -m benchmarks plots`. Needs the extra `bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, Unavailable

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "figures"


def draw(folder: Path = FOLDER) -> list[Path]:
    """One SVG for each NAME.json with ns: lines where something grows, else bars; medians with range. Same results, same file."""
    try:
        import matplotlib
    except ImportError:
        raise Unavailable("matplotlib draws: pip install 'ebpfnf[bench]'") from None
    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "ebpfnf", "svg.fonttype": "none", "font.size": 9}
    from matplotlib import pyplot

    made = []
    for file in sorted(folder.glob("*.json")):
        shown = [f for f in (Figure(**each) for each in json.loads(file.read_text())) if f.unit == "ns"]
        if not shown:  # a table may show it
            continue
        series = [f for f in shown if f.x is not None]
        plot, axes = pyplot.subplots(figsize=(6.4, 3.6 if series else 0.8 + 0.25 * len(shown)), layout="constrained")
        if series:
            _lines(axes, series)
        else:
            _bars(axes, shown)
        axes.set_title(file.stem)
        axes.spines[["top", "right"]].set_visible(False)
        made.append(file.with_suffix(".svg"))
        plot.savefig(made[-1], metadata={"Date": None})
        pyplot.close(plot)
    return made


def _lines(axes: Any, series: list[Figure]) -> None:
    for line in dict.fromkeys(f.line for f in series):
        points = [f for f in series if f.line == line]
        reach = [[f.median - f.low for f in points], [f.high - f.median for f in points]]
        axes.errorbar([f.x for f in points], [f.median for f in points], reach, marker="o", markersize=3, capsize=2, label=line)
    axes.set_xscale("log")
    if max(f.median for f in series) > 20 * min(f.median for f in series):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(series[0].name.split()[1].rstrip(","))  # of "10 rules, direct tables"
    axes.set_ylabel("ns a packet")
    axes.legend(frameon=False, fontsize=8)


def _bars(axes: Any, shown: list[Figure]) -> None:
    reach = [[f.median - f.low for f in shown], [f.high - f.median for f in shown]]
    axes.barh([f.name for f in shown], [f.median for f in shown], xerr=reach, color="#4878a8", ecolor="#303030", capsize=2)
    axes.invert_yaxis()
    axes.set_xlabel("ns a packet")
