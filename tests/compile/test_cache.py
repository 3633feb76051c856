"""The cache gives back what was stored, and costs nothing but time when it is broken."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpfnf.compile import cache, compile_source, compiler
from ebpfnf.model import Program, Source

PROGRAMS = (Program("seg_0", b"\x95" + bytes(7), ((0, "flows"),), b"btf", b"func", 8, b"line", 16), Program("seg_1", bytes(8), ()))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("EBPFNF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ebpfnf"


def test_what_is_stored_comes_back(folder: Path) -> None:
    assert cache.load("key") is None
    cache.store("key", PROGRAMS)
    assert cache.load("key") == PROGRAMS
    assert [entry.name for entry in folder.iterdir()] == ["key"]
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-1], lambda data: data.replace(b"flows", b"other"), lambda data: b"[]"]
)
def test_a_damaged_entry_is_none(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    cache.store("key", PROGRAMS)
    (folder / "key").write_bytes(damage((folder / "key").read_bytes()))
    assert cache.load("key") is None


def test_it_can_be_switched_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBPFNF_CACHE", "off")
    cache.store("key", PROGRAMS)
    assert not folder.exists()


def test_it_stays_small_and_keeps_what_was_used_last(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store("old", PROGRAMS)
    cache.store("used", PROGRAMS)
    os.utime(folder / "old", (1, 1))
    size = (folder / "old").stat().st_size
    monkeypatch.setattr(cache, "_LIMIT", 2 * size)
    cache.store("new", PROGRAMS)
    assert sorted(entry.name for entry in folder.iterdir()) == ["new", "used"]


@pytest.mark.skipif(os.geteuid() != 0, reason="missing: root (to give a folder away)")
def test_a_folder_of_somebody_else_is_not_trusted(folder: Path) -> None:
    cache.store("key", PROGRAMS)
    os.chown(folder, 65534, 65534)
    assert cache.load("key") is None


def test_a_place_that_can_not_be_written_is_no_error(tmp_path: Path, folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    cache.store("key", PROGRAMS)
    assert cache.load("key") is None


def test_a_second_compilation_is_a_look_up(folder: Path, make: Callable[..., Source], monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile_source(make("return pkt->now;"))

    def refuse(source: Source) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(compiler, "_compile", refuse)
    assert compile_source(make("return pkt->now;")) == first
    with pytest.raises(AssertionError):
        compile_source(make("return pkt->now + 1;"))
