"""Protects: the C of unikernels, under inputs that are guided by what they reach, the same each time.

`./test --long 60 guest-coverage` goes on from what earlier runs learned; `python -m tests.guided.faults` plants faults and looks for them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guided import faults, seeds
from tests.guided.fuzzer import TARGETS, Target, replay, run
from tests.guided.seeds import LENGTHS, SUMS, TIGHT

RUNS = {"pack": 40000, "stream": 12000, "rules": 20000, "ring": 12000}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_breaks_an_image(target: Target, tmp_path: Path) -> None:
    seeds.write(target, tmp_path)
    done = run(target, tmp_path, tmp_path, runs=RUNS[target.name], dictionary=seeds.dictionary(target))
    assert not done.failure, f"{done.what}: {done.failure}"
    assert done.executions >= RUNS[target.name] and done.covered > 100


# A header behind that of IPv6 that is longer than the packet; what LZ4 made.
REPRODUCED = {
    "ipv6-extension": seeds.frames([frame[:54] + b"\x06\xff" + frame[56:] for frame in seeds.extended()], LENGTHS | SUMS | TIGHT),
    "lz4-input": seeds.frames(seeds.packed(), LENGTHS | SUMS | TIGHT),
}


@pytest.mark.parametrize("fault", [fault for fault in faults.FAULTS if fault.name in REPRODUCED], ids=lambda fault: fault.name)
def test_a_planted_fault_is_seen(fault: faults.Fault, tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(REPRODUCED[fault.name])
    assert not replay(faults.target_of(fault), [file])
    with faults.planted(fault):
        assert "heap-buffer-overflow" in replay(faults.target_of(fault), [file])
