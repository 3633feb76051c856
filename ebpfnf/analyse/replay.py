"""A capture through a deployment's real programs, frame by frame: what would have become of each. No NIC, nothing live is touched.

with replay_file(Path("chain.yaml"), Path("in.pcap")) as run:
    for row in run:
        print(row.number, row.verdict, row.reason)
print(run.summary)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebpfnf import pipeline, spec
from ebpfnf.agent.private import MAX_FRAME, PrivateCopy
from ebpfnf.analyse import capture
from ebpfnf.analyse.capture import Frame, Writer
from ebpfnf.errors import AgentError, CaptureError, Where
from ebpfnf.kernel.programs import MIN_FRAME
from ebpfnf.lab.testbed import surroundings
from ebpfnf.model import Bundle, Port, Testbed

FRAMEWORK = "framework"  # decided outside of any mNF: parser, classifier, the end of a chain
CUT, SHORT, LONG = "CUT", "SHORT", "LONG"  # not run: captured in part, no Ethernet frame, more than a driver hands over in one piece
_VERDICTS = ("DROP", "DROP", "PASS", "TX", "REDIRECT")  # by XDP action; an aborted program dropped


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one frame."""

    number: int  # in the capture, from 1
    time: int  # ns since 1970, as captured
    verdict: str  # DROP PASS TX REDIRECT; CUT SHORT LONG: not run
    reason: str  # the counter that it ended on
    on: str  # the port that it came by
    port: str  # the port that it leaves by, empty where it does not
    by: str  # the stage that decided, or `framework`
    data: bytes  # as it goes on, empty where it does not


@dataclass(slots=True)
class Summary:
    """What all frames came to so far."""

    frames: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    steps_back: int = 0  # frames older than the one before: they ran at its time


class Replay:
    """The rows, once, as they are asked for; `summary` grows along."""

    def __init__(self, copy: PrivateCopy, frames: Iterator[Frame], on: str, out: Writer | None) -> None:
        self.summary = Summary()
        self._copy = copy
        self._frames = frames
        self._out = out
        self._now = 0
        ports = copy.bundle.ports
        self._default = on or ports[0].name
        self._by_interface = {} if on else _by_interface(ports)
        self._index = {port.name: index for index, port in enumerate(ports)}
        self._stages = {position["index"]: str(position["stage"]) for position in copy.bundle.positions}

    def __iter__(self) -> Iterator[Row]:
        for frame in self._frames:
            self.summary.frames += 1
            if frame.time < self._now:
                self.summary.steps_back += 1
            self._now = max(self._now, frame.time)
            row = self._row(self.summary.frames, frame)
            self.summary.verdicts[row.verdict] += 1
            if row.reason:
                self.summary.reasons[row.reason] += 1
            if self._out and row.port:
                self._out.write(self._index[row.port], frame.time, row.data)
            yield row

    def _row(self, number: int, frame: Frame) -> Row:
        on = self._by_interface.get(frame.interface, self._default)
        skipped = _not_run(frame)
        if skipped:
            return Row(number, frame.time, skipped, "", on, "", "", b"")
        outcome = self._copy.run(frame.data, on, self._now)
        verdict = _VERDICTS[outcome.action]
        dropped = verdict == "DROP"
        return Row(
            number=number,
            time=frame.time,
            verdict=verdict,
            reason=outcome.counter.name,
            on=on,
            port="" if dropped else outcome.port,
            by=self._stages[outcome.position] if outcome.position >= 0 else FRAMEWORK,
            data=b"" if dropped else outcome.data,
        )


@contextmanager
def replay(bundle: Bundle, path: Path, testbed: Testbed | None = None, *, on: str = "", out: Path | None = None) -> Iterator[Replay]:
    """The capture at `path` through `bundle`, its ports surrounded as `testbed` says. Needs root.

    Frames come by the port `on`; where it isn't given, by the port that is named as the interface on which they were captured, or
    bound to one of that name, else by the first port. What leaves by a port is also written to `out`, a pcapng file.
    The calling thread is in a network namespace of its own meanwhile. CaptureError where the capture is broken, after the rows before.
    """
    names = [port.name for port in bundle.ports]
    if on and on not in names:
        raise AgentError(f"no port '{on}' (ports: {', '.join(names)})")
    with ExitStack() as stack:
        frames = stack.enter_context(capture.reading(path))
        writer = stack.enter_context(_writer(path, out, names)) if out else None
        interfaces = stack.enter_context(surroundings(bundle.ports, testbed or Testbed()))
        copy = stack.enter_context(PrivateCopy(bundle, interfaces))
        yield Replay(copy, frames, on, writer)


@contextmanager
def replay_file(chain: Path, path: Path, *, on: str = "", out: Path | None = None, granularity: str = "") -> Iterator[Replay]:
    """`replay` of the deployment that a chain.yaml describes, among its `testbed:`."""
    deployment = spec.load(chain)
    with replay(pipeline.build(deployment, granularity), path, deployment.testbed, on=on, out=out) as run:
        yield run


def row_json(row: Row) -> dict[str, Any]:
    """A row for programs. Seconds are text: as a number they would lose their last digits."""
    return {
        "frame": row.number, "time": f"{row.time // 10**9}.{row.time % 10**9:09}", "verdict": row.verdict, "reason": row.reason,
        "on": row.on, "port": row.port, "by": row.by, "bytes": row.data.hex(),
    }  # fmt: skip


def summary_json(summary: Summary) -> dict[str, Any]:
    """The summary for programs."""
    return {
        "frames": summary.frames, "verdicts": dict(sorted(summary.verdicts.items())), "reasons": dict(sorted(summary.reasons.items())),
        "steps_back": summary.steps_back,
    }  # fmt: skip


def _not_run(frame: Frame) -> str:
    if frame.cut:
        return CUT
    if len(frame.data) < MIN_FRAME:
        return SHORT
    return LONG if len(frame.data) > MAX_FRAME else ""


def _by_interface(ports: tuple[Port, ...]) -> Mapping[str, str]:
    """Port by the name that a capture gives to an interface; a port's own name counts more than another's interface."""
    return {port.interface: port.name for port in ports} | {port.name: port.name for port in ports}


def _writer(path: Path, out: Path, interfaces: list[str]) -> Writer:
    try:
        same = out.samefile(path)
    except OSError:  # no such file yet
        same = False
    if same:
        raise CaptureError("it is the capture that is read", Where(str(out)), "write to another file")
    return Writer(out, interfaces)
