"""Figures as drawings (`python -m benchmarks --plots FOLDER`): medians with their range. Needs the extra `bench`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Figure


def draw(results: Mapping[str, Sequence[Figure]], folder: Path) -> None:
    """One SVG a benchmark, of its figures in nanoseconds."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "ebpfnf"  # the same figures make the same file
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    for name, figures in results.items():
        shown = [f for f in figures if f.unit == "ns"]
        if not shown:
            continue
        plot, axes = pyplot.subplots(figsize=(8, 0.8 + 0.28 * len(shown)), layout="constrained")
        reach = [[f.median - f.low for f in shown], [f.high - f.median for f in shown]]
        axes.barh([f.name for f in shown], [f.median for f in shown], xerr=reach, color="#4878a8", ecolor="#303030", capsize=2)
        axes.invert_yaxis()
        axes.set_xlabel("ns a packet: median, least and most")
        axes.set_title(name)
        axes.spines[["top", "right"]].set_visible(False)
        plot.savefig(folder / f"{name}.svg", metadata={"Date": None})
        pyplot.close(plot)
