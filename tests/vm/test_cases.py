"""The cases beside each unikernel mNF, run in a process with sanitizers."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from ebpfnf.packets import build as packet
from ebpfnf.tables.types import Duration
from ebpfnf.vm import build
from ebpfnf.vm.native import Native

CASES = [(name, case) for name in build.names() for case in YAML(typ="safe").load(build.SOURCES / name / "cases.yaml")]


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}: {case['case']}" for name, case in CASES])
def test_case(name: str, case: dict[str, Any]) -> None:
    assert case.keys() <= {"case", "params", "steps", "counters"}
    with Native(name, {name: case.get("params", {})}) as native:
        for number, step in enumerate(case["steps"]):
            assert step.keys() <= {"at", "packet", "verdict", "reason", "packet_after"}
            before = native.counters()
            frame = packet(step["packet"])
            out = native.frame(frame, Duration().parse(step.get("at", "0s")) + number)
            assert ("NEXT" if out is not None else "DROP") == step["verdict"]
            if "reason" in step:
                assert native.counters()[f"{name}.{step['reason']}"] == before[f"{name}.{step['reason']}"] + 1
            if step.get("packet_after") == "same":
                assert out == frame
            if step.get("packet_after") == "smaller":
                assert len(out or b"") < len(frame)
        counters = native.counters()
        wanted = case.get("counters", {})
        assert {key: counters[f"{name}.{key}"] for key in wanted} == wanted
