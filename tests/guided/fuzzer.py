"""Images of unikernels under libFuzzer: built by clang with its coverage and the sanitizers, run on records (unikernels/fuzz/fuzz.h)."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebpfnf.vm import build, manifest
from ebpfnf.vm.manifest import Unikernel

_FLAGS = "-O1 -g -fno-omit-frame-pointer -fno-pie -fsanitize=address,undefined -fno-sanitize-recover=all"
_COVERED = " -fsanitize=fuzzer-no-link"
_LINKED = "-no-pie -fsanitize=fuzzer,address,undefined"
_IMAGE_STATE = [f"--rename-section=.{kind}=image_{kind},alloc,load,data,contents" for kind in ("data", "bss")]
_OWN = ("records.c", "mend.c", "state.c")
KEPT = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "ebpfnf-fuzz"  # what long runs learned
FAILURES = KEPT / "failures"
LONGEST = 24000  # bytes of an input: more than tcp_reasm keeps of a connection


@dataclass(frozen=True, slots=True)
class Target:
    """What is fuzzed: an image, behind a driver of unikernels/fuzz."""

    name: str
    image: str
    config: Mapping[str, Mapping[str, Any]] | None = None  # None: an input brings its own
    driver: tuple[str, ...] = ("image.c", "stream.c")


_STREAM = {"tcp_reasm": {"connections": 4}, "url_filter": {"deny": ["/admin*", "*.example.org/private/*"]}}
TARGETS = (
    Target("pack", "compress+decompress"),
    Target("stream", "tcp_reasm+sqli_stream+url_filter", _STREAM),
    Target("rules", "ids_match"),
    Target("ring", "decompress", driver=("ring.c",)),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did."""

    executions: int
    covered: int  # edges
    failure: Path | None  # the input that broke it
    what: str  # in one line


def fuzzer(target: Target) -> Path:
    """The program, built unless it was already."""
    own = hashlib.sha256(f"{target.driver}{_FLAGS}{build.run(['clang', '--version'])}".encode())
    for path in (Path(__file__), *sorted((build.SOURCES / "fuzz").iterdir())):
        own.update(path.read_bytes())
    return build.cached(target.image, build.mnfs(target.image), f"fuzz-{own.hexdigest()[:16]}", _builder(target)).path


def _builder(target: Target) -> Callable[[Path, tuple[Unikernel, ...]], Path]:
    def make(scratch: Path, wanted: tuple[Unikernel, ...]) -> Path:
        network = ("network.c",) if "ring.c" in target.driver else ()
        image = build.compiled(scratch, build.units(scratch, wanted, (*build.SHARED, *network)), _FLAGS + _COVERED, "clang")
        for path in image:
            build.run(["objcopy", *_IMAGE_STATE, path])
        own = scratch / "fuzz"
        own.mkdir()
        files = [(build.SOURCES / "fuzz" / name, [f"-I{build.SOURCES / 'runtime'}"]) for name in (*_OWN, *target.driver)]
        return build.sanitized(scratch, wanted, [*image, *build.compiled(own, files, _FLAGS, "clang")], _LINKED, "clang")

    return make


def run(target: Target, corpus: Path, failures: Path, *, dictionary: bytes, seed: int = 1, runs: int = -1, seconds: int = 0) -> Outcome:
    """Fuzzes on from the corpus, which grows, until something breaks, or as many runs or seconds are over."""
    with tempfile.NamedTemporaryFile(suffix=".dict") as words:
        words.write(dictionary)
        words.flush()
        prefix = failures / f"broken-{target.name}-"
        options = [f"-seed={seed}", f"-runs={runs}", f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-dict={words.name}"]
        said = _start(target, [*options, "-use_value_profile=1", "-timeout=30", "-reload=0", f"-artifact_prefix={prefix}", str(corpus)])
    found = re.search(r"Test unit written to (\S+)", said)
    return Outcome(
        executions=max([int(n) for n in re.findall(r"^#(\d+)", said, re.M)], default=0),
        covered=max([int(n) for n in re.findall(r"\bcov: (\d+)", said)], default=0),
        failure=Path(found[1]) if found else None,
        what=what_broke(said) if found else "",
    )


def replay(target: Target, inputs: list[Path]) -> str:
    """What the inputs break, in a line, or nothing."""
    said = _start(target, ["-timeout=30", *map(str, inputs)])
    return what_broke(said) if "ERROR: " in said or "runtime error" in said else ""


def shrink(target: Target, failure: Path, seconds: int) -> Path:
    """A smaller input that breaks it too; beside the other."""
    small = failure.with_name(f"small-{failure.name}")
    _start(target, ["-minimize_crash=1", f"-max_total_time={seconds}", f"-exact_artifact_path={small}", str(failure)])
    return small if small.exists() else failure


def what_broke(said: str) -> str:
    """The first complaint, and where in our code it was."""
    what = re.search(r"broken: .*|runtime error: .*|ERROR: (AddressSanitizer: [\w-]+|libFuzzer: .*)", said)
    where = re.search(r"^ +#\d+ \S+ in (\w+) \S*/unikernels/(?!fuzz/|runtime/regions)(\S+)", said, re.M)
    return (what[0].removeprefix("ERROR: ") if what else "ended badly") + (f" in {where[1]} ({where[2]})" if where else "")


def _start(target: Target, arguments: list[str]) -> str:
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1", "LC_ALL": "C"}
    environment.pop("EBPFNF_FUZZ_CONFIG", None)
    with tempfile.NamedTemporaryFile() as config:
        if target.config is not None:
            config.write(manifest.config(build.mnfs(target.image), target.config))
            config.flush()
            environment["EBPFNF_FUZZ_CONFIG"] = config.name
        done = subprocess.run([str(fuzzer(target)), *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return done.stderr.decode("utf-8", "replace")
