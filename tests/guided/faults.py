"""Faults planted on purpose, one at a time, in a copy: the fuzzer is worth what it finds of them.

python -m tests.guided.faults [--seconds 120] [--seed 1] [NAME...]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ebpfnf.vm import build
from tests.guided import seeds
from tests.guided.fuzzer import TARGETS, Target, run


@dataclass(frozen=True, slots=True)
class Fault:
    """`wrong` where `right` stands, in a file of unikernels/."""

    name: str
    target: str
    file: str
    right: str
    wrong: str


FAULTS = (
    Fault("ipv4-length", "pack", "net/headers.c", "total > room)", "total > room + 1)"),
    Fault("ipv6-extension", "stream", "net/headers.c", "\t\tif (at > end)\n\t\t\treturn false;\n", ""),
    Fault("tcp-header", "stream", "net/headers.c", "head < 20 || head > len", "head < 20"),
    Fault("tcp-option", "stream", "tcp_reasm/mnf.c", " || option[1] > end - option", ""),
    Fault("lz4-input", "pack", "ipcomp/unpack.c", "(char *)to, (int)len,", "(char *)to, (int)len + 4000,"),
    Fault("inflate-output", "pack", "ipcomp/unpack.c", "avail_out = room;", "avail_out = room + 64;"),
    Fault("restored-room", "pack", "decompress/mnf.c", "least(frame->room - h.l4, sizeof restored)", "sizeof restored"),
    Fault("prefix-bits", "pack", "net/prefix.c", "> 128", "> 255"),
    Fault("overlap", "stream", "tcp_reasm/connection.c", "if (kept && c->bytes", "if (kept && len < 3 && c->bytes"),
    Fault("read-past-end", "stream", "tcp_reasm/connection.c", "n < WINDOW - start % WINDOW", "n < WINDOW"),
    Fault("header-value", "stream", "tcp_reasm/http.c", "h->value_len < HTTP_WORD &&", "h->value_len <= HTTP_WORD &&"),
    Fault("long-path", "stream", "url_filter/mnf.c", "if (n > most - *len) {", "if (n > most + 8 - *len) {"),
    Fault("control-text", "pack", "runtime/control.c", " || len > CONTROL_MOST", ""),
    Fault("rule-content", "rules", "ids_match/rule.c", "n == sizeof bytes", "n > sizeof bytes"),
    Fault("content-end", "rules", "ids_match/rule.c", "from + content->len <= to &&", "from + content->len <= to + 1 &&"),
    Fault("ring-length", "ring", "runtime/network.c", " || length > BUFFER", ""),
    Fault("ring-id", "ring", "runtime/network.c", " || id >= QUEUE", ""),
    Fault("ring-twice", "ring", "runtime/network.c", "\t\tsend.buffer[slot] = BUFFERS;\t/* returned twice would be noticed */\n", ""),
)


def target_of(fault: Fault) -> Target:
    return next(target for target in TARGETS if target.name == fault.target)


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Images are built from a copy with the fault."""
    own = build.SOURCES
    with tempfile.TemporaryDirectory(prefix="ebpfnf-fault-") as folder:
        build.SOURCES = Path(shutil.copytree(own, Path(folder) / "unikernels"))
        file = build.SOURCES / fault.file
        text = file.read_text()
        assert text.count(fault.right) == 1, f"'{fault.name}' has no place in {fault.file}"
        file.write_text(text.replace(fault.right, fault.wrong))
        try:
            yield
        finally:
            build.SOURCES = own


def main(argv: list[str] | None = None) -> int:
    """0: all were found."""
    parser = argparse.ArgumentParser(prog="python -m tests.guided.faults")
    parser.add_argument("--seconds", type=int, default=120, help="given up after (default: 120)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args(argv)
    missed = 0
    for fault in FAULTS:
        if options.names and fault.name not in options.names:
            continue
        with planted(fault), tempfile.TemporaryDirectory() as folder:
            target = target_of(fault)
            seeds.write(target, Path(folder))
            begin = time.monotonic()
            done = run(target, Path(folder), Path(folder), dictionary=seeds.dictionary(target), seed=options.seed, seconds=options.seconds)
            took = time.monotonic() - begin
        missed += done.failure is None
        print(f"{fault.name:16} {took:6.1f} s {done.executions:9} inputs  {done.what or 'NOT FOUND'}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
