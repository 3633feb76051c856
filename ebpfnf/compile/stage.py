"""The work folder of one compilation: generated code, the authors' files, and the few headers that bcc wants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ebpfnf.errors import GenerateError

GENERATED = "generated.c"  # the name of the generated code in messages and in line information
SHIM = Path(__file__).parent / "shim"
_NAME = re.compile(r"(?:[A-Za-z0-9_-]+/)+[A-Za-z0-9_-]+\.[ch]")


def lay_out(folder: Path, text: str, files: Mapping[str, str], programs: Iterable[str]) -> None:
    """Write everything that the compiling process reads. File names are relative, as in #include."""
    for name, content in files.items():
        if not _NAME.fullmatch(name) or name.startswith("include/"):
            raise GenerateError(f"'{name}' can't name a file to include", cure="a relative path such as 'mnf/acl_5t.c'")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8", newline="")
    # bcc looks for a kernel's `include` where BCC_KERNEL_SOURCE says: here
    (folder / "include").symlink_to(SHIM / "include")
    (folder / GENERATED).write_text(text, encoding="utf-8", newline="")  # LLVM reads lines from it for the line information
    (folder / "main.c").write_text(with_lines(text, programs), encoding="utf-8", newline="")


def with_lines(text: str, programs: Iterable[str]) -> str:
    """The text with #line where bcc's rewriter shifts it: it puts lines before the text, an attribute before each
    exported function and an empty line at the beginning of its body."""
    marks = set()
    for name in programs:
        match = re.search(rf"\b{re.escape(name)}\s*\([^;{{]*\)\s*\{{", text)
        if match:
            marks |= {match.start(), match.end()}
    out, last = [f'#line 1 "{GENERATED}"\n'], 0
    for at in sorted(marks):
        number = text.count("\n", 0, at) + 1
        out += text[last:at], f'\n#line {number} "{GENERATED}"\n'
        last = at
    return "".join([*out, text[last:]])
