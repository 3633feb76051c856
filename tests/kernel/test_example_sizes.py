"""The example loads whatever the length of its rule list: each table that may be chosen fits the stack and the verifier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.agent.private import PrivateCopy
from ebpfnf.kernel import programs

pytestmark = pytest.mark.kernel
EXAMPLE = Path(__file__).parents[2] / "examples" / "dc-edge" / "chain.yaml"


@pytest.mark.parametrize("more", [0, 30, 100, 1000])
@pytest.mark.parametrize("tables", ["auto", "kernel"])
def test_the_example_loads_with_more_rules(more: int, tables: str, tmp_path: Path) -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.strip() == "rules:") + 1
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    rules = [f"{indent}- deny: {{ip.src: 203.0.{k >> 8}.{k & 255}, l4.dport: {k + 1}}}\n" for k in range(more)]
    file = tmp_path / "chain.yaml"
    file.write_text("".join([*lines[:at], *rules, *lines[at:]]), encoding="utf-8")
    with PrivateCopy(pipeline.build(replace(spec.load(file), tables=tables))) as copy:
        assert sum(programs.info(fd).verified_insns for fd in copy._loaded.programs) < 800_000
