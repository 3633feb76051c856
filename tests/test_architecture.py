"""Who may import whom, as docs/ARCHITECTURE.md says: the drawing stays true because this reads the imports."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "ebpfnf"
FILES = sorted(PACKAGE.rglob("*.py"))
LEAVES = {"model", "errors", "names", "tables", "bundle", "caches"}  # standard library only; compiler and agent share them
STAGES = {"spec", "graph", "optimise", "generate", "compile"}
SITES = {
    "bcc": {"compile/bcc.py"},
    "libvirt": {"vm/"},
    "fabric": {"fleet/transport.py"},
    "paramiko": {"fleet/transport.py"},  # fabric's own base
    "pyroute2": {"agent/netlink.py", "lab/"},
}


def imports(file: Path) -> set[str]:
    """Full names of everything that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(file: Path) -> str:
    """The first part of a file's place in the package: a stage, a leaf, `cli`, ..."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms_imported(file: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(file) if name.startswith("ebpfnf.") and name != "ebpfnf.__version__"}


def place(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("file", [f for f in FILES if room(f) in STAGES], ids=place)
def test_a_stage_imports_no_other_stage(file: Path) -> None:
    assert rooms_imported(file) - LEAVES - {room(file)} <= {"__file__", "__version__"}


# What of vm/ runs on a host.
HOST_VM = {
    f"vm/{name}.py" for name in ("__init__", "control", "crew", "domain", "emulator", "foreign", "health", "lifecycle", "qemu", "tap")
}


@pytest.mark.parametrize("file", [f for f in FILES if room(f) in LEAVES | {"kernel", "agent"} or place(f) in HOST_VM], ids=place)
def test_what_runs_on_a_host_needs_only_the_standard_library(file: Path) -> None:
    allowed = LEAVES | ({"kernel"} if room(file) in ("kernel", "agent") else set()) | ({"agent", "vm"} if room(file) == "agent" else set())
    assert rooms_imported(file) - {room(file)} <= allowed
    outside = {name.split(".")[0] for name in imports(file)} - set(sys.stdlib_module_names) - {"ebpfnf"}
    assert outside <= ({"pyroute2"} if place(file) == "agent/netlink.py" else {"libvirt"} if place(file) == "vm/domain.py" else set())
    modules = {name for name in imports(file) if re.fullmatch(r"ebpfnf\.vm\.[a-z]+", name)}
    assert {name.removeprefix("ebpfnf.").replace(".", "/") + ".py" for name in modules} <= HOST_VM


@pytest.mark.parametrize("file", [f for f in FILES if room(f) not in ("cli", "__main__")], ids=place)
def test_nothing_imports_the_command_line(file: Path) -> None:
    assert "cli" not in rooms_imported(file)


@pytest.mark.parametrize("library", SITES)
def test_a_risky_library_is_imported_in_one_place(library: str) -> None:
    users = {place(f) for f in FILES if any(name.split(".")[0] == library for name in imports(f))}
    assert all(any(user.startswith(site) for site in SITES[library]) for user in users), users


def test_only_text_prints() -> None:
    printers = {place(f) for f in FILES if room(f) == "cli" and re.search(r"(?<![\w.])print\(", f.read_text())}
    assert printers <= {"cli/text.py"}


def test_only_pins_spells_bpffs() -> None:
    assert {place(f) for f in FILES if "/sys/fs/bpf" in f.read_text()} <= {"kernel/pins.py"}


def test_progs_and_vnfs_hold_no_python() -> None:
    assert not [*(PACKAGE / "progs").rglob("*.py"), *(PACKAGE / "vnfs").rglob("*.py")]


def test_importing_the_package_needs_no_library() -> None:
    assert imports(PACKAGE / "__init__.py") == set()
