"""Protects: the same files make the same bundle, byte for byte, under any hash seed, with all that the language can say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ebpfnf import pipeline
from tests.random_deployments import random_subject

_BUILD = """
import sys
from pathlib import Path

from ebpfnf import bundle, pipeline

sys.stdout.buffer.write(bundle.encode(pipeline.build_file(Path(sys.argv[1]))))
"""


def _built(file: Path, seed: str, cache: Path) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run([sys.executable, "-c", _BUILD, str(file)], capture_output=True, check=True, env=environment).stdout


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    deployment = random_subject(41).deployment(folder)
    stages = {stage.id for stage in pipeline.expand(deployment).stages}
    assert any(name.startswith("chain.") for name in stages) and any(name.count(".") > 2 for name in stages), "all of the language"
    one, other = (_built(folder / "chain.yaml", seed, tmp_path / seed) for seed in ("1", "2"))
    assert one == other and len(one) > 10_000
