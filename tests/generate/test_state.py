"""What is wrong with a table's entries is said of the operator's file, where they stand, not of the mNF's manifest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ebpfnf import pipeline
from ebpfnf.errors import GenerateError


def test_rules_that_a_table_can_not_hold_are_shown_where_their_instance_stands(tmp_path: Path) -> None:
    rules = [{"deny": {"l4.sport": list(range(100)), "l4.dport": list(range(100))}}]
    file = tmp_path / "chain.yaml"
    file.write_text(f"""ebpfnf: 1
deployment: places
tables: kernel
ports: {{a: {{interface: eth0}}}}
vnfs:
  wall: {{vnf: edge-firewall, rules: {json.dumps(rules)}}}
chains:
  c: {{on: a, match: {{}}, path: [wall], then: pass}}
""")
    with pytest.raises(GenerateError, match=r"'wall.acl.rules': its 1 rules became 10000 records") as refused:
        pipeline.build_file(file)
    place = refused.value.where
    assert place and (place.file, place.line) == (str(file), 6)
