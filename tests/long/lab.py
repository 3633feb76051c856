"""A lab whose maker dies at a random moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ebpfnf.lab import Lab, labs, namespaces
from tests.long.campaign import Case


@contextmanager
def crashes() -> Iterator[Case]:
    name = f"long-{os.getpid()}"
    code = f"from ebpfnf.lab import Lab\nlab = Lab({name!r})\nprint(flush=True)\nlab.up()"

    def case(seed: int) -> int:
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as maker:
            assert maker.stdout is not None
            maker.stdout.readline()
            time.sleep(random.Random(seed).uniform(0, 0.4))
            maker.send_signal(signal.SIGKILL)
        Lab(name).down()
        assert name not in labs(), "something is left that carries the lab's name"
        assert not [n for n in namespaces.names() if n.startswith(f"ebpfnf-{name}-")], "namespaces are left"
        return 2

    try:
        yield case
    finally:
        Lab(name).down()
