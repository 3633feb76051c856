"""Source to Programs: stage, let the child compile, check the bytecode. Pure apart from a cache."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ebpfnf.compile import bcc, body, btf, bytecode, cache, diagnostics, link, process, stage
from ebpfnf.errors import CompileError, Where
from ebpfnf.model import Program, Source

_VERSION = 2  # of the result: raise it when the same source shall give other bytes
_SECONDS = 60  # the largest module takes two


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What the child found."""

    functions: dict[str, bytes]
    btf: bytes
    ext: bytes


def compile_source(source: Source) -> tuple[Program, ...]:
    """One program for each of `source.programs`, in that order; CompileError in the author's file and line."""
    refused = [error for name, path in source.authors.items() for error in body.check(source.files[name], path)]
    if refused:
        raise diagnostics.joined(refused)
    key = _key(source)
    programs = cache.load(key)
    if programs is None:
        programs = _programs(source, _compile(source))
        cache.store(key, programs)
    return programs


@contextmanager
def ahead(*files: Path) -> Iterator[None]:
    """Inside, a compiler gets ready for what `compile_source` will want of it; there is none where these files were compiled before."""
    key = _key_of(_VERSION, *(file.read_bytes().hex() for file in files if file.is_file()))
    if cache.known(key):
        yield
        return
    with process.ready():
        yield
    cache.note(key)


def _key(source: Source) -> str:
    """Of all that decides over the result's bytes."""
    return _key_of(
        _VERSION,
        bcc.version(),
        bcc.FLAGS,
        platform.machine(),
        source.text,
        sorted(source.files.items()),
        source.programs,
        sorted(source.map_ids.items()),
        sorted(source.loops.items()),
    )


def _key_of(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _compile(source: Source) -> _Compiled:
    """LLVM ends its process on some errors, and bcc changes the working directory: hence a process of its own."""
    with tempfile.TemporaryDirectory(prefix="ebpfnf-compile-") as name, process.taken() as child:
        stage.lay_out(Path(name), source.text, source.files, (*source.programs, *source.loops.values()))
        code, written, messages = child.compile(name, _SECONDS)
    if code or not written:
        found = diagnostics.errors(messages, source.authors, "\n".join([source.text, *source.files.values()]))
        raise diagnostics.joined(found or (diagnostics.death(code, messages),))
    answer = json.loads(written)
    if "missing" in answer:
        raise bcc.missing(answer["missing"])
    functions = {name: base64.b64decode(insns) for name, insns in answer["functions"].items()}
    return _Compiled(functions, base64.b64decode(answer["btf"]), base64.b64decode(answer["ext"]))


def _programs(source: Source, compiled: _Compiled) -> tuple[Program, ...]:
    absent = [name for name in (*source.programs, *source.loops.values()) if name not in compiled.functions]
    if absent:
        raise CompileError(f"no function '{absent[0]}' in the generated code", cure="report it: the generated code is wrong")
    debug = _Debug(compiled, source)
    code, faults = {}, []
    for name in (*source.programs, *source.loops.values()):
        insns = bytecode.addressed(compiled.functions[name], source.map_ids)
        if not insns:
            faults.append(CompileError(f"program '{name}' never returns", cure="a body returns a verdict on every way"))
        relocations, found = bytecode.inspect(insns, source.map_ids, source.loops)
        faults += [CompileError(fault.what, debug.where(name, fault.index, source), fault.cure) for fault in found]
        code[name] = debug.code(name, insns, relocations)
    if faults:
        raise diagnostics.joined({str(fault): fault for fault in faults}.values())
    loops = {number: code[name] for number, name in source.loops.items()}
    return tuple(debug.program(name, link.link(code[name], loops)) for name in source.programs)


class _Debug:
    """Types and line information, where the child found them."""

    def __init__(self, compiled: _Compiled, source: Source) -> None:
        self.functions: dict[str, btf.Info] = {}
        self.lines: dict[str, btf.Info] = {}
        if compiled.btf:
            self.table = btf.Btf(compiled.btf, tuple(source.loops.values()))
            self.functions, lines = btf.sections(self.table, compiled.ext)
            self.lines = {name: btf.plain_paths(self.table, info) for name, info in lines.items()}

    def code(self, name: str, insns: bytes, relocations: tuple[tuple[int, str], ...]) -> link.Code:
        if name not in self.functions or name not in self.lines:
            return link.Code(insns, relocations)
        return link.Code(insns, relocations, self.functions[name], self.lines[name])

    def program(self, name: str, code: link.Code) -> Program:
        function, line = code.functions, code.lines
        if not function.size:
            return Program(name, code.insns, code.relocations)
        return Program(name, code.insns, code.relocations, self.table.encode(), function.records, function.size, line.records, line.size)

    def where(self, name: str, index: int, source: Source) -> Where | None:
        """The author's line of an instruction: the last one known before it, for LLVM leaves out what it made up."""
        place = None
        for line in btf.lines(self.table, self.lines[name]) if name in self.lines else ():
            if line.index > index:
                break
            if line.line:
                place = Where(source.authors.get(line.file, line.file), line.line, line.column)
        return place
