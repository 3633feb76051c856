"""Protects: replay says of every frame what it did with it, leaves nothing behind, and says what is wrong with what it is given."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from ebpfnf import pipeline
from ebpfnf.agent.private import MAX_FRAME, PrivateCopy, TooLong
from ebpfnf.analyse.capture import Writer, reading
from ebpfnf.analyse.replay import replay_file, row_json, summary_json
from ebpfnf.errors import AgentError, CaptureError
from ebpfnf.lab import namespaces
from tests.analyse.capture_files import pcap_header, record
from tests.kernel.netns import namespace

pytestmark = pytest.mark.kernel
START = 1_700_000_000 * 10**9
FRAME = bytes.fromhex("020000000002020000000001") + b"\x88\xcc" + bytes(46)
_FILE = """
ebpfnf: 1
deployment: plain
ports: {a: {interface: eth0, otherwise: {out: b}}, b: {interface: a, otherwise: drop}}
chains: {none: {on: a, match: {ip.proto: esp}, path: [], then: reflect}}
"""


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A deployment in which what comes by port a leaves by port b, and what comes by b is dropped; b's interface is called a."""
    file = tmp_path / "chain.yaml"
    file.write_text(_FILE)
    return file


def write(path: Path, *frames: tuple[int, bytes], name: str = "a") -> Path:
    with Writer(path, [name]) as writer:
        for at, frame in frames:
            writer.write(0, at, frame)
    return path


def test_frames_that_no_verdict_would_be_right_for_are_counted_and_not_run(chain: Path, tmp_path: Path) -> None:
    sizes = [13, 14, 60, MAX_FRAME, MAX_FRAME + 1, 65_000]
    path = tmp_path / "in.pcap"
    path.write_bytes(pcap_header() + record(FRAME, length=61) + b"".join(record(FRAME.ljust(size)[:size]) for size in sizes))
    with replay_file(chain, path) as run:
        rows = list(run)
    assert [row.verdict for row in rows] == ["CUT", "SHORT", "REDIRECT", "REDIRECT", "DROP", "LONG", "LONG"]
    assert [row.reason for row in rows if row.verdict == "DROP"] == ["port.a.too_big"]
    assert run.summary.verdicts == {"CUT": 1, "SHORT": 1, "LONG": 2, "REDIRECT": 2, "DROP": 1} and run.summary.frames == 7
    assert run.summary.reasons == {"port.a.otherwise": 2, "port.a.too_big": 1}
    assert {row.data for row in rows if row.verdict in ("CUT", "SHORT", "LONG", "DROP")} == {b""}


def test_a_private_copy_refuses_what_it_would_misjudge(chain: Path) -> None:
    with PrivateCopy(pipeline.build_file(chain)) as copy, pytest.raises(TooLong, match=f"{MAX_FRAME + 1} bytes"):
        copy.run(bytes(MAX_FRAME + 1), "a", 0)


def test_time_does_not_run_backwards(chain: Path, tmp_path: Path) -> None:
    with replay_file(chain, write(tmp_path / "in", (5, FRAME), (9, FRAME), (7, FRAME), (8, FRAME), (10, FRAME))) as run:
        rows = list(run)
    assert [row.time for row in rows] == [5, 9, 7, 8, 10] and run.summary.steps_back == 2


@pytest.mark.parametrize(("name", "on", "port"), [("a", "", "a"), ("eth0", "", "a"), ("b", "", "b"), ("eth7", "", "a"), ("a", "b", "b")])
def test_which_port_a_frame_comes_by(chain: Path, tmp_path: Path, name: str, on: str, port: str) -> None:
    """A port's own name goes before another's interface of that name; `on` before both; the first port for the rest."""
    with replay_file(chain, write(tmp_path / "in", (1, FRAME), name=name), on=on) as run:
        assert [row.on for row in run] == [port]


def test_what_came_before_the_break_is_told_and_written(chain: Path, tmp_path: Path) -> None:
    path, out, rows = write(tmp_path / "in", (1, FRAME), (2, FRAME)), tmp_path / "out", []
    path.write_bytes(path.read_bytes() + b"\6\0\0")
    with pytest.raises(CaptureError, match="a block's type breaks off"), replay_file(chain, path, out=out) as run:
        for row in run:
            rows.append(row)
    assert len(rows) == 2
    with reading(out) as frames:
        assert [(frame.time, frame.data, frame.interface) for frame in frames] == [(1, FRAME, "b"), (2, FRAME, "b")]


def test_what_is_wrong_is_said_before_anything_is_written(chain: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "in", (1, FRAME))
    before = path.read_bytes()
    wrong = [
        ({"on": "c"}, AgentError, r"no port 'c' \(ports: a, b\)"),
        ({"out": path}, CaptureError, "it is the capture that is read"),
        ({"out": tmp_path / "none" / "out"}, CaptureError, "can't be written: no such file"),
    ]
    for options, error, words in wrong:
        with pytest.raises(error, match=words), replay_file(chain, path, **options):
            pass
    assert path.read_bytes() == before
    with pytest.raises(CaptureError, match="no such file"), replay_file(chain, tmp_path / "none"):
        pass


def test_nothing_is_left_where_the_reader_of_rows_stops_or_fails(chain: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "in", *[(1, FRAME)] * 10)
    before = os.readlink("/proc/thread-self/ns/net"), os.sched_getaffinity(0), len(os.listdir("/proc/self/fd"))
    with pytest.raises(BrokenPipeError), replay_file(chain, path) as run:
        for _ in run:
            raise BrokenPipeError
    with replay_file(chain, path) as run:
        next(iter(run))
    assert (os.readlink("/proc/thread-self/ns/net"), os.sched_getaffinity(0), len(os.listdir("/proc/self/fd"))) == before
    assert not [name for name in namespaces.names() if name.startswith(f"ebpfnf-testbed-{os.getpid()}-")]


def test_rows_and_summary_for_programs(chain: Path, tmp_path: Path) -> None:
    with replay_file(chain, write(tmp_path / "in", (START + 5, FRAME))) as run:
        assert [row_json(row) for row in run] == [
            {
                "frame": 1, "time": "1700000000.000000005", "verdict": "REDIRECT", "reason": "port.a.otherwise", "on": "a", "port": "b",
                "by": "framework", "bytes": FRAME.hex(),
            }
        ]  # fmt: skip
        assert summary_json(run.summary) == {"frames": 1, "verdicts": {"REDIRECT": 1}, "reasons": {"port.a.otherwise": 1}, "steps_back": 0}


@pytest.mark.lab
def test_no_frame_of_fewer_than_14_bytes_is_ever_on_a_wire() -> None:
    """So SHORT loses nothing: neither a raw socket on a veth nor a tap device takes one."""
    with namespace(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw, open("/dev/net/tun", "r+b", buffering=0) as tap:
        raw.bind(("near", 0))
        assert raw.send(FRAME[:14]) == 14
        fcntl.ioctl(tap, 0x400454CA, struct.pack("=16sH14x", b"tap", 0x1002))  # TUNSETIFF: IFF_TAP | IFF_NO_PI
        subprocess.run(["ip", "link", "set", "tap", "up"], check=True)
        assert tap.write(FRAME[:14]) == 14
        for send in (raw.send, tap.write):
            with pytest.raises(OSError, match="Invalid argument"):
                send(FRAME[:13])
