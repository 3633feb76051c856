"""A classifier finds chain and classes in one look where that is possible, and whether it is, is known soon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.generate import classify, ways
from ebpfnf.tables import meet

FIELDS = ("l4.dport", "l4.sport", "vlan.id", "ip.proto", "eth.type", "ip.dscp")


def test_ways_are_made_only_until_one_look_can_not_find_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes over several fields, of lists, multiply: the first way of all is more than one look finds."""
    calls: list[Any] = []

    def counted(*match: Any) -> Any:
        assert len(calls) < 100
        calls.append(match)
        return meet.meet(*match)

    monkeypatch.setattr(ways, "meet", counted)
    partings = [
        {"classes": {f"c{k}{n}": {"match": {field: list(range(20 * n + 1, 20 * n + 21))}, "path": []} for n in range(3)}}
        for k, field in enumerate(FIELDS)
    ]
    chain = {"on": "a", "match": {}, "path": partings, "then": "pass"}
    file = tmp_path / "chain.yaml"
    file.write_text(f"ebpfnf: 1\ndeployment: ways\nports: {{a: {{interface: eth0}}}}\nchains: {json.dumps({'c': chain})}\n")
    made = classify.classifier(pipeline.expand(spec.load(file)), spec.fields())
    assert [table.name for table in made.tables] == ["framework.classify.chains", *(f"framework.classify.parts_1_{k}" for k in range(6))]
