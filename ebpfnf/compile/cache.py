"""Compiled programs kept by what they were made from. Anything that is wrong with the cache means: compile."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ebpfnf import caches
from ebpfnf.model import Program

_LIMIT = 64 << 20  # bytes kept in all
_BYTES = ("insns", "btf", "func_info", "line_info")


def load(key: str) -> tuple[Program, ...] | None:
    """What was stored under `key`, or None."""
    folder = caches.folder()
    if folder is None:
        return None
    try:
        digest, _, body = (folder / key).read_bytes().partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        programs = tuple(_program(item) for item in json.loads(body))
        os.utime(folder / key)  # the oldest use goes first
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return programs


def store(key: str, programs: tuple[Program, ...]) -> None:
    """Keep these; a full or read-only disk is no error."""
    folder = caches.folder()
    if folder is None:
        return
    body = json.dumps([_plain(program) for program in programs]).encode()
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
        try:
            with open(handle, "wb") as file:
                file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            os.replace(name, folder / key)
        except OSError:
            os.unlink(name)
            raise
        _prune(folder)


def known(key: str) -> bool:
    """Whether `note` was told this key; what was stored since may be gone."""
    folder = caches.folder()
    return folder is not None and (folder / key).exists()


def note(key: str) -> None:
    """Remember a key without anything to it."""
    folder = caches.folder()
    if folder is not None:
        with contextlib.suppress(OSError):
            (folder / key).touch()


def _prune(folder: Path) -> None:
    files = ((entry.stat(), entry.path) for entry in os.scandir(folder) if entry.is_file())
    entries = sorted(files, key=lambda item: item[0].st_mtime, reverse=True)
    total = 0
    for stat, path in entries:
        total += stat.st_size
        if total > _LIMIT:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def _plain(program: Program) -> dict[str, Any]:
    texts = {name: base64.b64encode(getattr(program, name)).decode() for name in _BYTES}
    sizes = {"func_info_size": program.func_info_size, "line_info_size": program.line_info_size}
    return {"name": program.name, "relocations": program.relocations, **texts, **sizes}


def _program(item: dict[str, Any]) -> Program:
    data = {name: base64.b64decode(item[name], validate=True) for name in _BYTES}
    relocations = tuple((int(index), str(name)) for index, name in item["relocations"])
    return Program(
        name=str(item["name"]),
        relocations=relocations,
        func_info_size=int(item["func_info_size"]),
        line_info_size=int(item["line_info_size"]),
        **data,
    )
