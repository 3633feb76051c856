"""What README and docs show works: the example validates and does what it expects, every command named exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import plots, summary
from ebpfnf import spec
from ebpfnf.analyse import expect

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def example() -> str:
    return re.search(r"```yaml\n(.*?)```", README, re.DOTALL)[1]


@pytest.mark.kernel
def test_the_example_does_what_it_expects(tmp_path: Path) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text(example())
    checked = list(expect.check(spec.load(file)))
    assert checked
    assert not [c for c in checked if c.wrong]


def test_every_command_in_the_readme_exists() -> None:
    told = subprocess.run([sys.executable, "-m", "ebpfnf.cli.main", "--help"], capture_output=True, text=True, check=True).stdout
    commands = set(re.findall(r"\bebpfnf ([a-z]+)", README))
    assert commands <= set(re.findall(r"^  ([a-z]+)  ", told, re.MULTILINE)), commands


def test_links_lead_somewhere() -> None:
    for file in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", file.read_text()):
            assert (file.parent / target).exists(), f"{file}: {target}"


def test_the_body_shown_is_the_one_that_runs() -> None:
    shown = re.search(r"```c\n(.*?)```", README, re.DOTALL)[1]
    assert shown.strip() in (ROOT / "ebpfnf" / "progs" / "acl_5t" / "mnf.c").read_text()


def test_the_figures_are_those_of_results_that_were_kept() -> None:
    assert summary.table(plots.FOLDER) in README, "python -m benchmarks plots"
