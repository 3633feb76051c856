"""Runs on the host, before there is an agent: what comes by stdin becomes <folder>/<sha256>.pyz, whole or not at all.

    python3 -I -c "<this file>" <folder> <sha256>

The host's own python compiles it once, since it would else do so at each of the agent's commands, of which it is the larger part.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import io
import marshal
import os
import sys
import zipfile

_KEPT = 3  # managers of several versions may take turns
_UNCHECKED = b"\1\0\0\0" + bytes(8)  # a .pyc that is not compared with its source (PEP 552): both are in one file


def compiled(data: bytes) -> bytes:
    """The zip with a .pyc beside each .py; another version of python takes the latter."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:  # not packed: quicker to start
        for name in old.namelist():
            source = old.read(name)
            code = marshal.dumps(compile(source, name, "exec", dont_inherit=True))
            new.writestr(name, source)
            new.writestr(name + "c", importlib.util.MAGIC_NUMBER + _UNCHECKED + code)
    return made.getvalue()


def install(data: bytes, folder: str, digest: str) -> None:
    """Writes it aside, then renames; `current.pyz` is what the machine starts with."""
    if hashlib.sha256(data).hexdigest() != digest:
        sys.exit("the agent was cut short on its way")
    aside = f"{folder}/.{digest}.{os.getpid()}"
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(aside, "wb") as file:
            file.write(compiled(data))
            file.flush()
            os.fsync(file.fileno())
        os.rename(aside, f"{folder}/{digest}.pyz")
        os.symlink(f"{digest}.pyz", aside)
        os.rename(aside, f"{folder}/current.pyz")
    except OSError as error:
        if os.path.lexists(aside):
            os.unlink(aside)
        sys.exit(f"no place for the agent in {folder}: {error.strerror}")
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(handle)
    os.close(handle)
    clean(folder)


def clean(folder: str) -> None:
    """Only the last few agents stay, and those that run: each holds a lock on its own file."""
    with contextlib.suppress(OSError):
        agents = [entry for entry in os.scandir(folder) if entry.name.endswith(".pyz") and not entry.is_symlink()]
        for old in sorted(agents, key=lambda entry: -entry.stat().st_mtime_ns)[_KEPT:]:
            with contextlib.suppress(OSError), open(old.path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(old.path)


if __name__ == "__main__":
    install(sys.stdin.buffer.read(), sys.argv[1], sys.argv[2])
