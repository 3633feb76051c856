"""Compilers' words, as written by LLVM 14 and by later ones, in the author's terms."""

from __future__ import annotations

import pytest

from ebpfnf.compile import diagnostics

AUTHORS = {"mnf/own.c": "mnfs/own/mnf.c"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "./mnf/own.c:4:9: error: implicit declaration of function 'f' is invalid in C99 [-Werror,-Wimplicit-function-declaration]",
            "mnfs/own/mnf.c:4:9: function 'f' does not exist (a body calls what docs/reference/body.md lists)",
        ),
        (
            "././mnf/own.c:4:9: error: call to undeclared function 'f'; ISO C99 and later do not support implicit function declarations"
            " [-Wimplicit-function-declaration]",
            "mnfs/own/mnf.c:4:9: function 'f' does not exist (a body calls what docs/reference/body.md lists)",
        ),
        (
            "mnf/own.c:1:2: error: no member named 'idel' in 'const struct own_cfg'",
            "mnfs/own/mnf.c:1:2: no member 'idel' (did you mean 'idle'?)",
        ),
        (
            "error: ./mnf/own.c:5:37: in function seg_0 i32 (ptr): Looks like the BPF stack limit is exceeded. Please move ...",
            "mnfs/own/mnf.c:5:37: more than 512 bytes on the stack (declare it under 'scratch:' and use scratch->)",
        ),
        (
            "error: <unknown>:0:0: in function seg_0 i32 (ptr): A call to built-in function 'memset' is not supported.",
            "function 'memset' is not in BPF (copy by assignment, compare by ip_equal, flow_equal)",
        ),
        (
            "LLVM ERROR: Cannot select: 0x35: i64 = sdiv 0x36, 0x37, ./mnf/own.c:4:27 @[ generated.c:13:9 ]\n  0x36: i64 = sra",
            "mnfs/own/mnf.c:4:27: signed division (BPF divides unsigned numbers only: make both u32 or u64)",
        ),
        (
            "/virtual/main.c:3:10: fatal error: 'linux/ip.h' file not found",
            "/virtual/main.c:3:10: the header 'linux/ip.h' is missing (apt-get install linux-libc-dev)",
        ),
        (
            "./mnf/own.c:4:10: error: use of undeclared identifier 's_dns__count_REASON_late'; did you mean 's_dns__count_REASONS'?",
            "mnfs/own/mnf.c:4:10: no reason 'late' (the manifest declares it under 'reasons:')",
        ),
        (
            "./mnf/own.c:4:10: error: use of undeclared identifier 's_dns__count_TO_slow'",
            "mnfs/own/mnf.c:4:10: no outcome 'slow' (the manifest declares it under 'outcomes:')",
        ),
        ("generated.c:3:1: error: expected ';'", "generated.c:3:1: expected ';' (report it: the generated code is wrong)"),
    ],
)
def test_a_message_names_place_fault_and_cure(text: str, error: str) -> None:
    (found,) = diagnostics.errors(text, AUTHORS, "struct own_cfg {\n\tu32 idle;\n\tstruct { u8 a[4]; } b;\n};\n")
    assert str(found) == error


def test_chains_notes_and_repetitions_are_left_out() -> None:
    text = """\
In file included from generated.c:9:
./mnf/own.c:4:9: error: expected expression
generated.c:7:3: note: expanded from macro 'cfg'
./mnf/own.c:2:1: warning: unused variable 'x' [-Wunused-variable]
In file included from generated.c:19:
./mnf/own.c:4:9: error: expected expression
fatal error: too many errors emitted, stopping now [-ferror-limit=]
"""
    assert [str(error) for error in diagnostics.errors(text, AUTHORS, "")] == ["mnfs/own/mnf.c:4:9: expected expression"]


def test_a_death_is_named() -> None:
    assert str(diagnostics.death(-11, "")).startswith("the compiler ended by SIGSEGV (")
    assert str(diagnostics.death(1, "Stack dump:\nlast\n")).startswith("the compiler ended with exit code 1: last (")
