"""A verifier's log, told to the mNF's author: which line of which file, and what is wrong with it."""

from __future__ import annotations

import os
import re
import struct
from bisect import bisect_right
from collections.abc import Callable, Mapping

from ebpfnf.errors import VerifierError, Where
from ebpfnf.model import Program

_INSN = re.compile(r"^(\d+): \(")
_SUMMARY = re.compile(r"^(processed \d+ insns|verification time|stack depth|mark_precise:|\s*$)")
_BTF_HEADER = struct.Struct("=HBBIIIII")  # magic, version, flags, header, types at, types, strings at, strings
_LINE = struct.Struct("=IIII")  # instruction, file, text, line << 10 | column
_CURES = (
    ("too large", "fewer branches: state that steers them inside a loop belongs into scratch"),
    ("too many", "fewer branches: state that steers them inside a loop belongs into scratch"),
    ("complex", "fewer branches: state that steers them inside a loop belongs into scratch"),
    ("infinite loop", "loops need a constant bound"),
    ("or_null", "test the pointer that a lookup returned before using it"),
    ("stack", "at most 512 bytes of locals: large ones belong into scratch; or granularity: vnf"),
)
_KEPT = 24  # lines of the log: what led to the refusal, not how the program began


def explain(program: Program, log: str, authors: Mapping[str, str]) -> VerifierError:
    """The error for a refused program. Where: the last line of an author's file on the way to what was refused, else of any file.

    The log is read by instruction numbers, since older kernels don't write file and line into it.
    """
    lines = [line for line in log.splitlines() if not _SUMMARY.match(line)]
    said = lines[-1].strip() if lines else "it gave no reason"
    steps = [int(match[1]) for match in map(_INSN.match, lines) if match]
    places = [place for place in map(_places(program), reversed(steps)) if place]
    known = [place for place in places if place.file in authors] or places
    where = Where(authors.get(known[0].file, known[0].file), known[0].line, known[0].column) if known else None
    return VerifierError(f"the kernel's verifier refused '{program.name}': {said}", where, _cure(said), "\n".join(lines[-_KEPT:]))


def _places(program: Program) -> Callable[[int], Where | None]:
    """instruction index -> the place in a source file that it comes from, None where that is not known."""
    if len(program.btf) < _BTF_HEADER.size or program.line_info_size < _LINE.size:
        return lambda index: None
    _, _, _, header, _, _, strings, _ = _BTF_HEADER.unpack_from(program.btf)
    names = program.btf[header + strings :]
    starts, places = [], []
    for at in range(0, len(program.line_info) - program.line_info_size + 1, program.line_info_size):
        start, name, _, position = _LINE.unpack_from(program.line_info, at)
        starts.append(start)
        file = os.path.normpath(names[name : names.find(0, name)].decode(errors="replace"))
        places.append(Where(file, position >> 10, position & 1023))

    def place(index: int) -> Where | None:
        found = bisect_right(starts, index) - 1
        return places[found] if found >= 0 else None

    return place


def _cure(said: str) -> str:
    return next((cure for pattern, cure in _CURES if pattern in said), "")
