"""Bodies through the real compiler: what comes out, and what the author reads when nothing does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpfnf.compile import bcc, btf, compile_source, compiler, stage
from ebpfnf.errors import CompileError, EbpfnfError, GenerateError
from ebpfnf.model import Program, Source

Make = Callable[..., Source]
BODY = "u32 key = pkt->now & 7;\n\tu64 *seen = flows_lookup(&key);\n\n\tif (!seen)\n\t\treturn 1;\n\t*seen += cfg.rate;\n\treturn 2;"


def lines(program: Program) -> list[btf.Line]:
    return list(btf.lines(btf.Btf(program.btf), btf.Info(program.line_info, program.line_info_size)))


def test_maps_stay_symbolic(make: Make) -> None:
    (program,) = compile_source(make(BODY))
    assert [name for _, name in program.relocations] == ["flows", "const"]
    for index, _ in program.relocations:
        assert program.insns[8 * index] == 0x18


def test_programs_come_in_the_order_of_the_source(make: Make) -> None:
    assert [program.name for program in compile_source(make(BODY, programs=3))] == ["seg_0", "seg_1", "seg_2"]


def test_the_same_source_is_the_same_bytes_wherever_it_is_built(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(BODY, programs=3)
    first = compile_source(source)
    (tmp_path / "a much longer name of a folder").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a much longer name of a folder"))
    monkeypatch.chdir(tmp_path)
    assert compile_source(source) == first
    assert str(tmp_path).encode() not in first[0].btf
    assert b"/tmp" not in first[0].btf


def test_line_information_is_found_and_exact(make: Make) -> None:
    """bcc has no call for it and its rewriter shifts lines: both are worked around."""
    source = make(BODY, programs=2)
    own, generated = source.files["mnf/own.c"].splitlines(), source.text.splitlines()
    for program in compile_source(source):
        assert program.func_info
        found = [line for line in lines(program) if line.line]
        assert {line.file for line in found} == {"mnf/own.c", "generated.c"}
        for line in found:
            assert line.text == (own if line.file == "mnf/own.c" else generated)[line.line - 1]


def test_several_errors_are_told_at_once_each_once(make: Make) -> None:
    with pytest.raises(CompileError) as error:
        compile_source(make("pkt->now = cfg.idel;\n\treturn nothing;", programs=2))
    assert str(error.value).splitlines() == [
        "mnfs/own/mnf.c:4:17: no member 'idel' (did you mean 'idle'?)",
        "mnfs/own/mnf.c:5:9: nothing is named 'nothing' (docs/reference/body.md lists what a body may use)",
    ]


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("return foo(3);", 4, "function 'foo' does not exist"),
        ("return cfg.zzzzzz;", 4, "no member 'zzzzzz' (there are idle, rate)"),
        ("u64 key = 1;\n\treturn flows_lookup(&key) != 0;", 5, "incompatible pointer types"),
        ("pkt->now++;", 5, "does not return a value"),
        ("u32 x;\n\treturn x;", 5, "uninitialized"),
        ("u8 a[pkt->now];\n\ta[0] = 1;\n\treturn a[0];", 4, "variable length array"),
        # what clang lets pass and LLVM can't express
        ("int a = pkt->now;\n\treturn a / (int)cfg.idle;", 5, "signed division"),
        ("float a = pkt->now;\n\treturn a * 2.5f;", 4, "floating point"),
        ("u8 a[600];\n\tfor (u32 i = 0; i < 600; i++)\n\t\ta[i] = pkt->now + i;\n\treturn a[pkt->now & 511];", 6, "512 bytes"),
        ("u32 k = 1;\n\tu64 *v = flows_lookup(&k);\n\t__builtin_memset(v, 0, pkt->now);\n\treturn 1;", 6, "'memset' is not in BPF"),
        # what LLVM lets pass, since it expects a linker
        ("static const u32 t[8] = {1, 2, 3, 4, 5, 6, 7, 8};\n\treturn t[pkt->now & 7];", 5, "address of a global"),
        ("static u32 count;\n\treturn count++;", 5, "address of a global"),
        ('const char *text = "hello world";\n\treturn text[pkt->now & 7];', 5, "address of a global"),
        ("int (*f)(u32) = (void *)(u64)pkt->now;\n\treturn f(1);", 5, "not inlined"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_the_authors_file_and_line(make: Make, body: str, line: int, words: str) -> None:
    with pytest.raises(CompileError) as error:
        compile_source(make(body))
    assert str(error.value).startswith(f"mnfs/own/mnf.c:{line}:")
    assert words in str(error.value)
    assert "/tmp" not in str(error.value)


def test_no_other_file_gets_in(make: Make) -> None:
    with pytest.raises(CompileError, match=r"mnfs/own/mnf\.c:1:1: a body has no preprocessor lines") as error:
        compile_source(make('#include "/etc/passwd"\nMNF(struct pkt *pkt)\n{\n\treturn 1;\n}\n'))
    assert "root:" not in str(error.value)


@pytest.mark.parametrize("name", ["/etc/own.c", "../own.c", "mnf/../../own.c", "include/linux/types.h", "own.c", "mnf/o n.c"])
def test_a_file_can_only_be_staged_inside(make: Make, name: str, tmp_path: Path) -> None:
    with pytest.raises(GenerateError, match="can't name a file"):
        stage.lay_out(tmp_path, "", {name: ""}, ())


def test_an_unknown_map_is_a_fault(make: Make) -> None:
    text = "#include <linux/types.h>\nint seg_0(struct xdp_md *ctx)\n{\n\treturn *(u32 *)bpf_pseudo_fd(2, 0x7f000009);\n}\n"
    with pytest.raises(CompileError, match=r"generated\.c:4:\d+: a reference to map 0x7f000009"):
        compile_source(make(BODY, text=text))


def test_a_program_that_is_not_there_is_a_fault(make: Make) -> None:
    with pytest.raises(CompileError, match="no function 'seg_0' in the generated code"):
        compile_source(make(BODY, text="#include <linux/types.h>\nint other(struct xdp_md *ctx) { return 1; }\n"))


def test_a_crash_of_llvm_is_an_error_and_not_ours(make: Make) -> None:
    text = "#include <linux/types.h>\nint seg_0(struct xdp_md *ctx)\n{\n\treturn __builtin_frame_address(0) != 0;\n}\n"
    with pytest.raises(CompileError):
        compile_source(make(BODY, text=text))


def test_a_compiler_that_does_not_end_is_ended(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_SECONDS", 0.01)
    with pytest.raises(CompileError, match=r"took more than 0\.01 seconds"):
        compile_source(make(BODY))


def test_a_machine_without_bcc_is_told_what_to_install(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bcc.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EbpfnfError, match=r"bcc is missing: no module 'bcc' \(apt-get install python3-bpfcc"):
        compile_source(make(BODY))


def test_the_bcc_of_pypi_is_not_taken_for_it(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc" / "__init__.py").write_text("lattice = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "bcc", raising=False)
    with pytest.raises(EbpfnfError, match="is not the BPF compiler collection"):
        compile_source(make(BODY))


@pytest.mark.skipif(os.geteuid() != 0, reason="any other test shows it: this is not root")
def test_no_right_is_needed(tmp_path: Path) -> None:
    """The compiling process, as nobody, on what is staged for it."""
    text = "#include <linux/types.h>\nint seg_0(struct xdp_md *ctx)\n{\n\treturn ctx->data > 7;\n}\n"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage.lay_out(folder, text, {}, ["seg_0"])
        os.chown(folder, 65534, 65534)
        environment = {"PYTHONPATH": os.getcwd(), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "ebpfnf.compile.child"]
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        done = subprocess.run(command, input=name, text=True, stdout=subprocess.PIPE, env=environment, **nobody, check=True, timeout=60)
        assert "seg_0" in json.loads(done.stdout)["functions"]
