"""The only place that imports bcc, and the flags that it is called with."""

from __future__ import annotations

import ctypes
import importlib.util
import sysconfig
from contextlib import suppress
from pathlib import Path
from typing import Any

from ebpfnf.errors import EbpfnfError

INSTALL = "apt-get install python3-bpfcc, and a venv made with --system-site-packages; the 'bcc' of PyPI is another project"

_REFUSED = (  # warnings that are always a mistake in a body, or compile to something that the verifier then refuses obscurely
    "implicit-function-declaration",
    "implicit-int",
    "incompatible-pointer-types",
    "int-conversion",
    "return-type",
    "uninitialized",
    "sometimes-uninitialized",
    "shift-count-overflow",
    "division-by-zero",
    "vla",
)
FLAGS = (
    # bcc optimises what clang hands it: that clang has done so before, for the host's processor, takes half as long again for slower code
    "-Xclang",
    "-disable-llvm-passes",
    "-fno-unroll-loops",
    "-fno-builtin-bcmp",
    # arm64's char is unsigned: the same source shall be the same program everywhere
    "-fsigned-char",
    # paths in the line information are those of #include, wherever the build ran
    "-fdebug-compilation-dir=.",
    "-iquote.",
    *(f"-Werror={name}" for name in _REFUSED),
    "-Wno-incompatible-pointer-types-discards-qualifiers",  # the kernel's helpers are declared without const
    "-ferror-limit=20",
    "-fno-caret-diagnostics",
    "-fno-color-diagnostics",
)


_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18


class Missing(Exception):
    """Why bcc can't be used."""


def missing(why: str) -> EbpfnfError:
    """The error that a user sees."""
    return EbpfnfError(f"the compiler bcc is missing: {why}", cure=INSTALL)


def version() -> str:
    """The installed bcc's version, without importing it: that would load all of LLVM into this process."""
    spec = importlib.util.find_spec("bcc")
    if spec is None or not spec.submodule_search_locations:
        raise missing("no module 'bcc'")
    folder = Path(spec.submodule_search_locations[0])
    if not (folder / "libbcc.py").is_file():
        raise missing(f"'{folder}' is not the BPF compiler collection")
    try:
        return (folder / "version.py").read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


def include_flags() -> tuple[str, ...]:
    """Where the user-space kernel headers (linux-libc-dev) are."""
    multiarch = sysconfig.get_config_var("MULTIARCH")
    return ("-isystem/usr/include", *((f"-isystem/usr/include/{multiarch}",) if multiarch else ()))


def get_ready() -> None:
    """Load bcc and LLVM into this process. Where they can't be, `functions` will say so."""
    with suppress(Missing):
        _loaded()


def hide_kernel() -> None:
    """What this process compiles depends on no kernel: bcc reads all its symbols each time, for one define that we don't use.

    A fifteenth of a large compilation. Only root can; others wait.
    """
    libc = ctypes.CDLL(None)
    if libc.unshare(_CLONE_NEWNS) == 0 and libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None) == 0:
        libc.mount(b"/dev/null", b"/proc/kallsyms", None, _MS_BIND, None)


def functions(text: str) -> dict[str, bytes]:
    """Compile in this process, which LLVM may end: instructions of every exported function, by name. Missing when there is no bcc."""
    bcc = _loaded()
    module = bcc.BPF(text=text.encode(), cflags=[*include_flags(), *FLAGS])
    names = (bcc.lib.bpf_function_name(module.module, i).decode() for i in range(bcc.lib.bpf_num_functions(module.module)))
    return {name: bytes(module.dump_func(name)) for name in names}


def _loaded() -> Any:
    try:
        import bcc
    except (ImportError, OSError) as error:
        raise Missing(str(error)) from None
    if not hasattr(bcc, "BPF"):
        raise Missing(f"'{getattr(bcc, '__file__', 'bcc')}' is another project")
    return bcc
