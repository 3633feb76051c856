"""What a command does before it begins: imports what it needs, and nothing that takes longer than its work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ebpfnf.cli import main

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"bcc", "fabric", "jinja2", "libvirt", "networkx", "paramiko", "pydantic", "pyroute2", "rich", "ruamel", "scapy"}
COMPLETES = "import sys; sys.argv[0] = 'ebpfnf'; from ebpfnf.__main__ import main; main()"
TELLS = """
import atexit, runpy, sys
atexit.register(lambda: print("imported:", *sys.modules, file=sys.stderr))
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def imported(*arguments: str) -> set[str]:
    """Every module that a process imports; what it starts is not asked."""
    argv, asked = [sys.executable, "-c", TELLS, *arguments], '{"deployment": "nowhere"}'
    done = subprocess.run(argv, capture_output=True, text=True, input=asked, cwd=ROOT)
    assert "Traceback" not in done.stderr
    return set(done.stderr.partition("imported:")[2].split())


@pytest.mark.parametrize(
    ("command", "its_own"),
    [(("status", "-o", "json"), "observe"), (("table", "get", "x", "a.b.c", "1"), "table"), (("undeploy", "x"), "change")],
)
def test_a_quick_command_imports_little(command: tuple[str, ...], its_own: str) -> None:
    found = imported("ebpfnf", *command)
    assert f"ebpfnf.cli.{its_own}" in found
    assert not found & HEAVY
    others = {place.partition(":")[0] for place in main.Commands.places.values()} - {f"ebpfnf.cli.{its_own}"}
    assert not found & others


@pytest.mark.parametrize("command", ["status", "table get"])
def test_a_quick_command_of_the_agent_imports_little(command: str) -> None:
    found = imported("ebpfnf.agent", command)
    assert "ebpfnf.agent.observe" in found
    assert not {name.partition(".")[0] for name in found} & (HEAVY | {"typer"})


def test_each_command_is_where_the_table_says() -> None:
    app = typer.main.get_command(main.app)
    with typer.Context(app) as context:
        made = {name: app.get_command(context, name) for name in app.list_commands(context)}
    assert list(made) == list(main.Commands.places)
    assert all(command.name == name and command.help for name, command in made.items())


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("sta", {"status"}), ("table ", {"get", "set", "del", "dump"}), ("status --ho", {"--hosts"}), ("status -o ", {"text", "json"})],
)
def test_completion_knows_what_is_not_imported_yet(words: str, wanted: set[str]) -> None:
    typed = f"ebpfnf {words}"
    asked = {"_EBPFNF_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}
    done = subprocess.run([sys.executable, "-c", COMPLETES], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **asked})
    assert set(done.stdout.split()) == wanted, done.stderr
