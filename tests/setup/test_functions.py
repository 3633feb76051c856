"""Protects: the two commands say in one line what is missing and its cure, and pass on failure."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def bash(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail; . setup/functions.sh; {code}", "demo"],
        cwd=REPOSITORY, env=os.environ | env, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("file", ["demo", "test", ".ci/run", "setup/functions.sh"])
def test_bash_can_read_it(file: str) -> None:
    assert subprocess.run(["bash", "-n", file], cwd=REPOSITORY).returncode == 0
    assert file.endswith(".sh") or os.access(REPOSITORY / file, os.X_OK)


def test_a_step_that_fails_shows_its_last_words_and_its_code() -> None:
    done = bash("step trying sh -c 'echo no >&2; exit 7'; echo unreached")
    assert (done.returncode, done.stdout, done.stderr) == (7, "  trying ...\n", "no\n")


def test_on_a_narrow_terminal_the_moving_line_stays_one_line() -> None:
    title = "installing " + "a-package-with-a-name " * 20
    code = f". setup/functions.sh; stty cols 60; step '{title}' sleep 0.4"
    done = subprocess.run(["script", "-qec", f'bash -c "{code}"', "/dev/null"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    *moving, last = (line.removesuffix("\x1b[K") for line in done.stdout.splitlines() if line)  # python reads \r as a line's end
    assert moving and max(map(len, moving)) < 60 and all(re.search(r"…  \ds", line) for line in moving)
    assert last.startswith("  ✓ installing a-package") and title.strip() in last, "what was done is said whole, once"


def test_only_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "dpkg-query").write_text("#!/bin/sh\nfor last; do :; done\n[ $last = iproute2 ] && exit 1\nprintf installed\n")
    (tmp_path / "dpkg-query").chmod(0o755)
    assert bash("missing_packages", PATH=f"{tmp_path}:{os.environ['PATH']}").stdout == "iproute2 "


def test_missing_packages_without_root_is_one_line_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "dpkg-query").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "dpkg-query").chmod(0o755)
    done = bash("can_be_root() { false; }; set_up_packages", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 77
    assert done.stderr.startswith("demo: 'python3 python3-venv ") and "sudo apt-get install python3 " in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_set_up_machine_is_left_alone() -> None:
    done = bash("set_up_packages; set_up_venv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
