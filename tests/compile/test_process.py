"""A compiler that is started ahead is used once, or ended; where nothing is to be compiled there is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpfnf.compile import ahead, compile_source, process, stage
from ebpfnf.model import Source

Make = Callable[..., Source]


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[process.Process]:
    """Those that were started, with a cache of the test's own."""
    monkeypatch.delenv("EBPFNF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found: list[process.Process] = []

    class Seen(process.Process):
        def __init__(self) -> None:
            super().__init__()
            found.append(self)

    monkeypatch.setattr(process, "Process", Seen)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "chain.yaml"
    path.write_text("one")
    return path


def test_what_was_started_ahead_compiles(make: Make, started: list[process.Process], file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ahead(file):
        assert len(started) == 1
        made = compile_source(make("return pkt->now;"))
    assert len(started) == 1 and started[0]._child.returncode == 0
    assert not process._waiting
    monkeypatch.setenv("EBPFNF_CACHE", "off")
    assert made == compile_source(make("return pkt->now;")), "by one that was not started ahead"
    assert len(started) == 2


def test_a_second_source_gets_one_of_its_own(make: Make, started: list[process.Process], file: Path) -> None:
    with ahead(file):
        compile_source(make("return pkt->now + 1;"))
        compile_source(make("return pkt->now + 2;"))
    assert [each._child.returncode for each in started] == [0, 0]


def test_what_is_known_starts_none(make: Make, started: list[process.Process], file: Path) -> None:
    for _ in range(2):
        with ahead(file):
            compile_source(make("return pkt->now;"))
    assert len(started) == 1
    file.write_text("other")
    with ahead(file):
        compile_source(make("return pkt->now;"))
    assert [each._child.returncode for each in started] == [0, -signal.SIGKILL], "it was known after all"


def test_an_error_ends_it_and_makes_nothing_known(started: list[process.Process], file: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), ahead(file):
            raise ZeroDivisionError
    assert [each._child.returncode for each in started] == [-signal.SIGKILL] * 2 and not process._waiting


def test_a_file_that_is_not_there_is_not_its_business(started: list[process.Process], tmp_path: Path) -> None:
    with ahead(tmp_path / "none.yaml"):
        assert len(started) == 1


def test_it_goes_when_its_parent_is_killed() -> None:
    text = "import os; from ebpfnf.compile.process import Process; print(Process()._child.pid, flush=True); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", text], stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    state, deadline = Path(f"/proc/{int(done.stdout)}/stat"), time.monotonic() + 30
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":  # nobody may be there to bury it
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_its_folder_goes_when_its_parent_is_killed_meanwhile(make: Make, tmp_path: Path) -> None:
    folder, source = tmp_path / "work", make("return pkt->now;")
    folder.mkdir()
    stage.lay_out(folder, source.text, source.files, source.programs)
    told = f"child.stdin.write({os.fsencode(folder)!r}); child.stdin.close(); os.kill(os.getpid(), 9)"
    text = f"import os; from ebpfnf.compile.process import Process; child = Process()._child; {told}"
    done = subprocess.run([sys.executable, "-c", text], check=False)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
