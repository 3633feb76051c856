"""The only values that a template may print: integers and identifiers. Anything else is an error, so no text of an operator becomes C."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ebpfnf import caches
from ebpfnf.errors import GenerateError

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_C_TYPES = frozenset({"u8", "u16", "u32", "u64", "be16", "be32", "struct ip_addr", "struct ip_prefix", "struct mac_addr", "struct flow"})
FRAMEWORK = Path(__file__).resolve().parent.parent / "progs" / "framework"


class CInt(int):
    """An integer that may stand in C."""


class CIdent(str):
    """An identifier that may stand in C."""

    __slots__ = ()

    def __new__(cls, text: str) -> CIdent:
        if not _IDENTIFIER.match(text):
            raise GenerateError(f"'{text[:40]}' can't be an identifier")
        return super().__new__(cls, text)


class CType(str):
    """One of the types that fields, keys and values have in C."""

    __slots__ = ()

    def __new__(cls, text: str) -> CType:
        if text not in _C_TYPES:
            raise GenerateError(f"'{text[:40]}' is no type of a field (types: {', '.join(sorted(_C_TYPES))})")
        return super().__new__(cls, text)


def _finalize(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if type(value) is int or isinstance(value, CInt | CIdent | CType | Markup):
        return value
    raise GenerateError(f"a template printed {type(value).__name__} {str(value)[:40]!r}: only integers and identifiers may reach C")


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Templates of `progs/framework`; an undefined name or an untyped value is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FRAMEWORK),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=True,  # so that what a macro of ours rendered is Markup, which no value from outside is
        bytecode_cache=_kept(),
    )


def _kept() -> jinja2.BytecodeCache | None:
    """Templates as Python, from one run to the next: reading them takes as long as all other generating. None: nothing can be kept."""
    folder = caches.folder()
    try:
        if folder is not None:
            (folder / "templates").mkdir(mode=0o700, parents=True, exist_ok=True)
            return jinja2.FileSystemBytecodeCache(str(folder / "templates"))
    except OSError:
        pass
    return None
