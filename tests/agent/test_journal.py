"""One writer at a time, and a note that is whole or absent."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ebpfnf.agent import journal
from ebpfnf.errors import Busy


@pytest.fixture(autouse=True)
def _run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBPFNF_RUN", str(tmp_path / "run"))


def test_second_writer_is_told_who_holds_the_lock() -> None:
    with journal.locked("dc"):
        code = "import sys\nfrom ebpfnf.agent import journal\nfrom ebpfnf.errors import Busy\n"
        code += "try:\n  journal.locked('dc').__enter__()\nexcept Busy as e: sys.exit(str(e))\n"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f"process {os.getpid()}" in other.stderr
        with journal.locked("another"):
            pass
        with pytest.raises(Busy), journal.locked("dc"):
            pass
    with journal.locked("dc"):
        pass


def test_a_lock_whose_file_goes_with_it_is_held_by_one() -> None:
    """Who waits has opened the file that is then removed: it must not take that for the lock."""
    inside, most = 0, list[int]()

    def work() -> None:
        nonlocal inside
        done = 0
        while done < 200:
            with contextlib.suppress(Busy), journal.locked("dc"):
                inside += 1
                most.append(inside)
                time.sleep(0)
                inside -= 1
                done += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 800 and not os.listdir(journal.folder())


def test_what_a_killed_process_held_goes_too() -> None:
    with journal.locked("dc"):
        fd = journal.take(journal.folding("dc"))
        assert fd is not None and journal.take(journal.folding("dc")) is None
        os.close(fd)
        assert os.listdir(journal.folder()) != ["dc.lock"]
    assert not os.listdir(journal.folder())


def test_the_note_of_a_dead_writer_is_read_and_garbage_is_absent() -> None:
    with journal.locked("dc"):
        assert journal.cut_off("dc") == ""
        journal.write("dc", "apply: flip 2")
        assert journal.cut_off("dc") == "", "its writer lives"
        if (child := os.fork()) == 0:
            journal.write("dc", "apply: flip 3")
            os._exit(0)
        os.waitpid(child, 0)
        assert journal.cut_off("dc") == "apply: flip 3"
        for garbage in (b"", b'{"what', b"[1]", b"\xff\xfe", b'{"pid": "x", "what": ""}'):
            (journal.folder() / "dc.journal").write_bytes(garbage)
            assert journal.cut_off("dc") == ""
        journal.remove("dc")
        journal.remove("dc")
        assert journal.cut_off("dc") == ""
