"""What a body may not hold: each way out of it is refused by name, where it stands, and plain C is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf.compile import body

PROGS = Path(__file__).parents[2] / "ebpfnf" / "progs"


def told(text: str) -> list[str]:
    return [str(error) for error in body.check(text, "mnf.c")]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('#include "/etc/shadow"', "1:1", "preprocessor"),
        ('int a;\n  #  include "/etc/shadow"', "2:3", "preprocessor"),
        ('/* */ #include "x"', "1:7", "preprocessor"),
        ("#pragma once", "1:1", "preprocessor"),
        ('#line 1 "other.c"', "1:1", "preprocessor"),
        ("#define NEXT 1", "1:1", "preprocessor"),
        ('%:include "x"', "1:1", "digraph"),
        ('??=include "x"', "1:1", "trigraph"),
        ('// \\\n#include "x"', "1:4", "backslash"),
        ('// ??/\n#include "x"', "1:4", "trigraph"),
        ("/* *\\\n/ asm */", "1:5", "backslash"),
        ("/* *\\ \n/ asm */", "1:5", "backslash"),
        ('// a\r#include "x"', "1:5", "control character"),
        ("int a;\0", "1:7", "control character"),
        ('_Pragma("once")', "1:1", "a pragma"),
        ('asm(".incbin \\"/etc/shadow\\"");', "1:1", "assembly"),
        ("__asm__ volatile();", "1:1", "assembly"),
        ("\\u0061sm();", "1:1", "backslash"),
        ('SEC("xdp") int f;', "1:1", "a section"),
        ('__attribute__((section("xdp"))) int f;', "1:1", "an attribute may be"),
        ('__attribute__((packed, section("xdp"))) int f;', "1:1", "an attribute may be"),
        ('[[gnu::section("xdp")]] int f;', "1:1", "attribute in [[ ]]"),
        ("BPF_TABLE(hash, int, int, t, 1);", "1:1", "belongs to the framework"),
        ("bpf_tail_call(c, 1, 2);", "1:1", "belongs to the framework"),
        ("int a = ctx->data;", "1:9", "the program's context"),
        ("__builtin_popcountll(1);", "1:1", "not in BPF"),
        ("const char *t = __TIME__;", "1:17", "time of the build"),
        ("/* never closed", "1:1", "a comment has no end"),
        ('const char *t = "open;', "1:17", "a literal has no end"),
        ("int f(void) { return 1;", "1:13", "'{' is never closed"),
        ("} int f(void) {", "1:1", "'}' has no '{'"),
        ("int f(void) { return (1]; }", "1:24", "']' has no '['"),
    ],
)  # fmt: skip
def test_a_way_out_is_refused_where_it_stands(text: str, place: str, words: str) -> None:
    first = told(text)[0]
    assert first.startswith(f"mnf.c:{place}: ")
    assert words in first


@pytest.mark.parametrize(
    "text",
    [
        "/* asm, #include, ctx-> */ int a;",
        "// SEC bpf_tail_call\nint a;",
        "int a = '#';\r\nint b = '\"', c = '\\'', d = '\\\\';",
        "struct LOCAL(x) { u8 b[6]; } __attribute__((packed));",
        "int context, my_ctx, asmb, x = a[b[1]];",
        "be16 p = bpf_htons(80);",
        "__builtin_memcpy(&a, &b, sizeof(a)); u64 n = 0x1e+1, m = 10ULL;",
        "switch (x) { case 1: __attribute__((fallthrough)); default: break; }",
        "/* Zürich → */ int a = b ? c : d; a %= 2; a <<= 1; a = b < c;",
    ],
)
def test_plain_c_passes(text: str) -> None:
    assert told(text) == []


def test_all_are_told_in_order() -> None:
    assert [line.split(": ")[0] for line in told("#if 1\nasm();\nctx;\n#endif\n")] == ["mnf.c:1:1", "mnf.c:2:1", "mnf.c:3:1", "mnf.c:4:1"]


@pytest.mark.parametrize("path", sorted(PROGS.glob("*/mnf.c")), ids=lambda path: path.parent.name)
def test_the_built_in_bodies_pass(path: Path) -> None:
    assert told(path.read_text()) == []
