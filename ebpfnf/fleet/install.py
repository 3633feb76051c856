"""Runs on the host, before there is an agent: what comes by stdin becomes <folder>/<sha256>.pyz, whole or not at all.

python3 -I -c "<this file>" <folder> <sha256>
"""

from __future__ import annotations

import hashlib
import os
import sys


def install(data: bytes, folder: str, digest: str) -> None:
    """Writes it aside, then renames; `current.pyz` is what the machine starts with."""
    if hashlib.sha256(data).hexdigest() != digest:
        sys.exit("the agent was cut short on its way")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    aside = f"{folder}/.{digest}.{os.getpid()}"
    try:
        with open(aside, "wb") as file:
            file.write(data)
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


if __name__ == "__main__":
    install(sys.stdin.buffer.read(), sys.argv[1], sys.argv[2])
