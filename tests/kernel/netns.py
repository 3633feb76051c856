"""A network namespace with a veth pair for one test, gone with the thread that entered it."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def namespace() -> Iterator[str]:
    """The calling thread is in a new namespace, whose name this gives; loopback and the pair near, far are up."""
    name = f"enf-{uuid.uuid4().hex[:8]}"
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        _enter(f"/run/netns/{name}")
        for scope in ("all", "default"):  # else the kernel sends frames of its own, which tests would count
            Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("1")
        for command in ("link set lo up", "link add near type veth peer name far", "link set near up", "link set far up"):
            subprocess.run(["ip", *command.split()], check=True)
        yield name
    finally:
        _setns(home)
        os.close(home)
        subprocess.run(["ip", "netns", "del", name], check=True)


def _enter(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        _setns(fd)
    finally:
        os.close(fd)


def _setns(fd: int) -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")
