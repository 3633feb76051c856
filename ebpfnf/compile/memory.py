"""LLVM builds .BTF and .BTF.ext, bcc has no call that hands them out: find them in this process's own memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ebpfnf.compile import btf

_MAGIC = re.compile(re.escape(btf.MAGIC))


def _regions() -> Iterator[bytes]:
    """Contents of anonymous writable memory, where the heap and LLVM's sections are."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, rights, _, _, _, *name = line.split(maxsplit=5)
            if not rights.startswith("rw") or (name and name[0].strip() != "[heap]"):
                continue
            start, end = (int(x, 16) for x in place.split("-"))
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except OSError:
                continue  # gone meanwhile, or not readable


def _candidates() -> tuple[set[bytes], set[bytes]]:
    """Everything that has the outline of .BTF, and of .BTF.ext."""
    found: tuple[set[bytes], set[bytes]] = set(), set()
    for data in _regions():
        for match in _MAGIC.finditer(data):  # twice as fast as bytes.find
            at = match.start()
            for length, kind in ((btf.length(data, at), 0), (btf.ext_length(data, at), 1)):
                if length and at + length <= len(data):
                    found[kind].add(data[at : at + length])
    return found


def find_btf(functions: tuple[str, ...]) -> tuple[bytes, bytes]:
    """The pair that describes exactly these functions; empty when there is none, for a program loads without.

    Freed copies of both lie about too: the pair must fit each other, and of several the one with most text is taken.
    """
    best: tuple[int, bytes, bytes] = (0, b"", b"")
    types, extensions = _candidates()
    for data in types:
        try:
            table = btf.Btf(data)
        except ValueError:
            continue
        for ext in extensions:
            try:
                funcs, line_infos = btf.sections(table, ext)
                text = sum(bool(line.text) for info in line_infos.values() for line in btf.lines(table, info))
            except ValueError:
                continue
            if set(funcs) >= set(functions) and set(line_infos) >= set(functions):
                best = max(best, (text, data, ext))
    return best[1:]
