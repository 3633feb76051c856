"""A capture through the example chain by the command line: frames a second, the command's start and the compiled chain's load included."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.chains import DC_EDGE
from benchmarks.frames import Mix
from benchmarks.measure import ROUNDS, Figure, figure, interleaved

FRAMES = 100_000


def run() -> list[Figure]:
    """Needs root. Each frame must be answered, and the three ways of asking must agree."""
    with tempfile.TemporaryDirectory() as name:
        capture, out = Path(name, "in.pcap"), Path(name, "out.pcapng")
        _write(capture)
        ways = {"": (), "as JSON, ": ("-o", "json"), "with what leaves, ": ("--out", str(out))}
        summary = json.loads(_replay(capture, "-o", "json"))["summary"]
        said = f"{FRAMES} frames, " + ", ".join(f"{count} {verdict}" for verdict, count in summary["verdicts"].items())
        if summary["frames"] != FRAMES or _replay(capture).splitlines()[-1] != said:
            raise RuntimeError(f"replay answers {summary['frames']} of {FRAMES} frames")
        times = interleaved({way: lambda options=options: (_replay(capture, *options), None)[1] for way, options in ways.items()}, ROUNDS)
    return [figure(f"replay, {way}a frame", [ms * 1e3 / FRAMES for ms in taken], "us", 50.0) for way, taken in times.items()]


def _write(capture: Path) -> None:
    frames = [frame for http in (0, 50, 100) for family in (4, 6) for frame in Mix(size=0, http=http, family=family).frames()]
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number in range(FRAMES):
            frame = frames[number % len(frames)]
            file.write(struct.pack("<IIII", number // 10_000, number % 10_000 * 100, len(frame), len(frame)) + frame)


def _replay(capture: Path, *options: str) -> str:
    command = [sys.executable, "-m", "ebpfnf.cli.main", "replay", str(DC_EDGE), str(capture), *options]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
