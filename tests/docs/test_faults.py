"""The table of faults names tests that there are, for every fault."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs" / "reference" / "faults.md").read_text()
ROWS = [line.split("|")[1:4] for line in TABLE.splitlines() if line.startswith("| ") and "---" not in line][1:]


def found_in(file: Path) -> set[str]:
    return {
        node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_each_fault_has_tests_that_are_there() -> None:
    assert len(ROWS) > 20
    for fault, _, tests in ROWS:
        named = re.findall(r"`(tests/[a-z/_]+\.py)`:((?: `test_\w+`)+)", tests)
        assert named, f"{fault}: no test"
        assert re.sub(r"`tests/[a-z/_]+\.py`:(?: `test_\w+`)+|;", "", tests).strip() == "", f"{fault}: what is no test"
        for file, names in named:
            lacking = set(re.findall(r"test_\w+", names)) - found_in(ROOT / file)
            assert not lacking, f"{fault}: {file} has no {lacking}"
