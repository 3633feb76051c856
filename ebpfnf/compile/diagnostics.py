"""What clang and LLVM write, as errors in the author's file."""

from __future__ import annotations

import difflib
import re
import signal
from collections.abc import Iterable, Mapping

from ebpfnf.errors import CompileError, CompileErrors, Where

_REPORT = "report it: the generated code is wrong"
_PLACE = r"(?:\./)*(?P<file>[\w./-]+):(?P<line>[0-9]+):(?P<column>[0-9]+)"
_FRONTEND = re.compile(_PLACE + r": (?:fatal )?error: (?P<what>.+)")
# LLVM, on what BPF can't express: with a place of its own, or with one in the dump of an expression, or without
_BACKEND = re.compile(rf"(?:LLVM ERROR|error): (?:{_PLACE}: )?(?:<unknown>:0:0: )?(?:in function \S+ [^:]*: )?(?P<what>.+)")
_INLINED = re.compile(rf", {_PLACE}(?: @\[|\s*\Z)")
_UNSIGNED = "BPF divides unsigned numbers only: make both u32 or u64"
_KNOWN = (  # clang's words -> ours, and the cure
    (
        r"(?:implicit declaration of|call to undeclared) function '(?P<x>\w+)'.*",
        r"function '\g<x>' does not exist",
        "a body calls what docs/reference/body.md lists",
    ),
    (r"use of undeclared identifier '\w+_REASON_(?P<x>\w+)'.*", r"no reason '\g<x>'", "the manifest declares it under 'reasons:'"),
    (r"use of undeclared identifier '\w+_TO_(?P<x>\w+)'.*", r"no outcome '\g<x>'", "the manifest declares it under 'outcomes:'"),
    (r"(?P<x>.*); (?P<y>did you mean .*)", r"\g<x>", r"\g<y>"),
    (r"use of undeclared identifier '(?P<x>\w+)'", r"nothing is named '\g<x>'", "docs/reference/body.md lists what a body may use"),
    (r"'(?P<x>(?:linux|asm)/[^']*)' file not found", r"the header '\g<x>' is missing", "apt-get install linux-libc-dev"),
    (r".*BPF stack limit.*", "more than 512 bytes on the stack", "declare it under 'scratch:' and use scratch->"),
    (r".*(?:signed division|s(?:div|rem)\b).*", "signed division", _UNSIGNED),
    (r".*built-?in function '__(?:float|fix|add|sub|mul|div|extend|trunc)\w*[sdt]f\w*'.*", "floating point", "BPF knows integers only"),
    (r".*built-?in function '(?P<x>\w+)'.*", r"function '\g<x>' is not in BPF", "copy by assignment, compare by ip_equal, flow_equal"),
    (r".*(?:too many args|stack arguments).*", "a function takes more than five arguments", "write it static inline"),
)


def errors(text: str, authors: Mapping[str, str], code: str) -> tuple[CompileError, ...]:
    """The errors in what the compiler wrote, each once, in order. `authors`: name in #include -> path to show.

    `code` is what was compiled, for the names that would have been right. Notes, warnings, include chains and
    macro backtraces are left out.
    """
    found: dict[tuple[Where | None, str], CompileError] = {}
    for line in text.splitlines():
        match = _FRONTEND.fullmatch(line) or _BACKEND.fullmatch(line)
        if not match or match["what"].startswith("too many errors"):
            continue
        place = match if match["file"] else _INLINED.search(line)
        where, what, cure = None, *_plain(match["what"], code)
        if place:
            where = Where(authors.get(place["file"], place["file"]), int(place["line"]), int(place["column"]))
        if not cure and (not place or place["file"] not in authors):
            cure = _REPORT
        found.setdefault((where, what), CompileError(what, where, cure))
    return tuple(found.values())


def death(code: int, text: str) -> CompileError:
    """The error for a compiler that ended without naming one."""
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    last = [line.strip()[:200] for line in text.splitlines() if line.strip()][-1:]
    return CompileError(": ".join([f"the compiler ended {how}", *last]), cure="take out the body's newest expression, and report it")


def _plain(what: str, code: str) -> tuple[str, str]:
    what = re.sub(r" \[-W[^\]]*\]\Z", "", what)
    match = re.fullmatch(r"no member named '(\w+)' in '(?:const )?(?:struct )?(\w+)'", what)
    if match:
        return f"no member '{match[1]}'", _members(match[1], match[2], code)
    for pattern, text, cure in _KNOWN:
        match = re.fullmatch(pattern, what)
        if match:
            return match.expand(text), match.expand(cure)
    return what, ""


def _members(wanted: str, struct: str, code: str) -> str:
    """The names of a struct's members, or the one that was meant."""
    body = re.search(rf"\bstruct {struct}\s*{{((?:[^{{}}]|{{[^{{}}]*}})*)}}", code)
    names = re.findall(r"(\w+)(?:\[\w+\])?\s*;", body[1]) if body else []
    close = difflib.get_close_matches(wanted, names, 1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"there are {', '.join(names)}" if names else "the manifest declares what there is"


def joined(found: Iterable[CompileError]) -> CompileError:
    """One error to raise: the only one, or all of them, a line each."""
    several = tuple(found)
    return several[0] if len(several) == 1 else CompileErrors(several)
