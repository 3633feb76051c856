"""A manager that dies at a random moment of a rollout over three hosts, forwards or on its way back."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ebpfnf.fleet.change import ask
from ebpfnf.lab.hosts import HostLab
from tests.fleet import rig
from tests.fleet.managers import managers, rollout
from tests.long.campaign import Case

_FIRST = 0.25  # of the cases begin with nothing
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

            def each(command: str) -> list[dict[str, Any]]:
                outcomes = found.each(lambda host: ask(host, command, {"deployment": rig.NAME}))
                assert not [one.error for one in outcomes if one.error]
                return [one.result for one in outcomes]

            def marks() -> list[int]:
                """0: nothing runs."""
                known = {digest: mark for mark, digest in digests.items()}
                return [known[status["digest"]] if status["running"] else 0 for status in each("status")]

            def case(seed: int) -> int:
                rng = random.Random(seed)
                if rng.random() < _FIRST:
                    each("undeploy")
                    for host in found.hosts:
                        rig.run(lab, host, f"rm -rf /var/lib/ebpfnf/{rig.NAME}")
                old = marks()[0]
                new, unwell = 1 if old == 2 else 2, rng.choice(["", "", "h1", "h2", "h3"])
                born.live(new, unwell, seconds=rng.uniform(0.01, _LONGEST * whole))
                there = marks()
                assert set(there) <= {old, new}, f"{there}: neither the old nor the new"
                again = rollout(found, new, unwell)
                wanted = old if unwell else new
                assert marks() == [wanted] * 3, f"{marks()}, wanted {wanted}, after {there}: {again}"
                kept = [one["digest"] for one in each("kept")]
                assert kept == [digests.get(wanted, "")] * 3, "what a reboot would bring back"
                return 3

            yield case
