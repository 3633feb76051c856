"""python -m tests.guided TARGET FILE...: what the inputs break (names of files: of the failures that the campaign kept)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.guided.fuzzer import FAILURES, TARGETS, replay


def main() -> int:
    """0: nothing."""
    parser = argparse.ArgumentParser(prog="python -m tests.guided")
    parser.add_argument("target", choices=[target.name for target in TARGETS])
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    target = next(target for target in TARGETS if target.name == options.target)
    broken = {file: what for file in options.files if (what := replay(target, [file if file.exists() else FAILURES / file]))}
    for file, what in broken.items():
        print(f"{file}: {what}")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
