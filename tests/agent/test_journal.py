"""One writer at a time, and a note that is whole or absent."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_a_note_comes_back_and_garbage_is_absent() -> None:
    with journal.locked("dc"):
        assert journal.read("dc") is None
        journal.write("dc", {"to": 2})
        assert journal.read("dc") == {"to": 2}
        for garbage in (b"", b'{"to', b"[1]", b"\xff\xfe"):
            (journal.folder() / "dc.journal").write_bytes(garbage)
            assert journal.read("dc") is None
        journal.remove("dc")
        journal.remove("dc")
        assert journal.read("dc") is None
