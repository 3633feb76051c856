"""A manager that dies at a random moment of a rollout over three hosts, forwards or on its way back."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ebpfnf.lab.hosts import HostLab
from tests.fleet import rig
from tests.fleet.managers import managers, rollout
from tests.long.campaign import Case

_LONGEST = 1.5  # of a whole rollout, as the first took on this machine


@contextmanager
def killed() -> Iterator[Case]:
    with HostLab(f"long-{os.getpid()}") as lab:
        rig.begin(lab, 1)
        with managers(lab) as born, rig.fleet(lab) as found:
            assert born.live(2) == 0
            began = time.monotonic()
            assert born.live(1) == 0
            whole = time.monotonic() - began
            digests = {mark: rig.digest(found, "h1", mark) for mark in (1, 2)}

            def marks() -> list[int]:
                statuses = found.each(lambda host: host.run("status", {"deployment": rig.NAME}))
                return [next((m for m, d in digests.items() if d == each.result["digest"]), 0) for each in statuses]

            def case(seed: int) -> int:
                rng = random.Random(seed)
                old = marks()[0]
                new, unwell = 3 - old, rng.choice(["", "", "h1", "h2", "h3"])
                born.live(new, unwell, seconds=rng.uniform(0.01, _LONGEST * whole))
                there = marks()
                assert set(there) <= {1, 2}, f"{there}: neither the old nor the new"
                again = rollout(found, new, unwell)
                wanted = [old if unwell else new] * 3
                assert marks() == wanted, f"{marks()}, wanted {wanted}, after {there}: {again}"
                kept = found.each(lambda host: host.run("kept", {"deployment": rig.NAME}))
                assert [each.result["digest"] for each in kept] == [digests[wanted[0]]] * 3, "what a reboot would bring back"
                return 3

            yield case
