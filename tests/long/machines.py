"""Swaps of a VM under load: random versions, flows, sizes and pauses."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ebpfnf import packets
from tests.long.campaign import Case
from tests.vm import swaps
from tests.vm.conftest import a_host

ARRIVING = 20_000  # packets a second at least: what came slower, on a machine that does other things, has shown nothing


@contextmanager
def swapped() -> Iterator[Case]:
    def case(seed: int) -> int:
        """Each packet is a check: it came out, or the chain counted that it refused it."""
        choose = random.Random(seed)
        text = "load" * choose.choice((1, 50, 300))
        frames = [packets.build(f"udp 192.0.2.9:{4000 + n} > 198.51.100.7:80 payload '{text}'") for n in range(choose.randint(1, 64))]
        sizes = [90]
        for _ in range(choose.randint(10, 20)):
            sizes.append(choose.choice([size for size in (90, 91, 92) if size != sizes[-1]]))
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch, a_host(Path(folder), patch) as host:
            done = swaps.swapped(host, [f", smallest: {size}" for size in sizes], frames, choose.choice((0, 0, 0.1, 1)))
        assert done.rate >= ARRIVING, f"{done}: fewer than {ARRIVING}/s"
        return done.sent - done.refused

    try:
        yield case
    finally:
        shutil.rmtree(f"/run/ebpfnf/vms/tests-{os.getpid()}", ignore_errors=True)
