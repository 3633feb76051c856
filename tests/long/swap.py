"""Swaps of the hot-swap example under load: random marks, granularity, pauses and rollbacks."""

from __future__ import annotations

import dataclasses
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ebpfnf import pipeline, spec
from ebpfnf.agent.apply import apply, rollback, undeploy
from ebpfnf.lab import Lab
from ebpfnf.lab.topology import LINE
from ebpfnf.lab.traffic import Load, Result
from ebpfnf.model import Bundle
from tests.long.campaign import Case

EXAMPLE = Path(__file__).parents[2] / "examples" / "hot-swap" / "chain.yaml"


@contextmanager
def under_load() -> Iterator[Case]:
    name = f"long-{os.getpid()}"
    chain = dataclasses.replace(spec.load(EXAMPLE), name=name)
    built: dict[tuple[int, str], Bundle] = {}

    def bundle(mark: int, granularity: str) -> Bundle:
        if (mark, granularity) not in built:
            instances = tuple(dataclasses.replace(i, arguments={**i.arguments, "mark": mark}) for i in chain.instances)
            built[mark, granularity] = pipeline.build(dataclasses.replace(chain, instances=instances), granularity)
        return built[mark, granularity]

    with Lab(name, LINE) as lab:

        def case(seed: int) -> int:
            """Each packet is a check: it arrived, once, with the marks of one generation."""
            choose = random.Random(seed)
            done, results = threading.Event(), list[Result]()
            with Load(lab, [bytes([mark] * 5) for mark in range(1, 9)]) as load:
                with lab.enter("dut"):
                    apply(bundle(choose.randint(1, 8), choose.choice(("mnf", "chain"))))
                traffic = threading.Thread(target=lambda: results.append(load.run(100_000, done)))
                traffic.start()
                try:
                    with lab.enter("dut"):
                        for _ in range(choose.randint(1, 12)):
                            changed = apply(bundle(choose.randint(1, 8), choose.choice(("mnf", "chain")))).changed
                            if changed and choose.random() < 0.2:
                                rollback(name)
                            time.sleep(choose.choice((0, 0, 0.01, 0.1)))
                finally:
                    done.set()
                    traffic.join()
            (result,) = results
            assert result.whole, f"{result.lost} lost, {result.mixed} mixed of {result.sent}"
            return result.received

        try:
            yield case
        finally:
            with lab.enter("dut"):
                undeploy(name)
            Path(f"/run/ebpfnf/{name}.lock").unlink(missing_ok=True)
