"""The command line as an operator meets it: exit codes, words instead of tracebacks, JSON where it is asked for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "hot-swap" / "chain.yaml"
BAD = (
    "ebpfnf: 1\ndeployment: x\nports: {a: {interface: e0}}\nvnfs:\n  fw: {vnf: edge-firewal}\n"
    "chains:\n  c: {on: b, match: {}, path: [gw], then: pass}\n"
)


def ebpfnf(*arguments: str | Path, stdin: str | None = None, user: int | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "ebpfnf", *map(str, arguments)],
        capture_output=True,
        text=True,
        input=stdin if stdin is not None else "",
        cwd=ROOT,
        user=user,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "EBPFNF_CACHE": "off" if user else os.environ.get("EBPFNF_CACHE", "")},
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


@pytest.mark.parametrize("arguments", [("deploi",), ("deploy",), ("plan", EXAMPLE, "--granularity", "huge"), ("status", "--nope")])
def test_wrong_usage_is_64(arguments: tuple[str, ...]) -> None:
    done = ebpfnf(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("error: ")


def test_every_error_of_a_file_at_once_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text(BAD)
    done = ebpfnf("validate", file)
    assert done.returncode == 65
    assert f"{file}:5:13: no vnf 'edge-firewal' (did you mean 'edge-firewall'?)" in done.stderr
    assert f"{file}:7:" in done.stderr


def test_errors_are_json_where_json_is_read(tmp_path: Path) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text(BAD)
    done = ebpfnf("validate", file, "-o", "json")
    assert done.returncode == 65
    assert {(e["line"], e["column"]) for e in json.loads(done.stdout)["errors"]} >= {(5, 13)}


def test_every_error_of_a_body_has_its_place_in_json_too(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ebpfnf" / "progs" / "ttl_dec", tmp_path / "mnfs" / "ttl_dec")
    (tmp_path / "mnfs" / "ttl_dec" / "mnf.c").write_text("MNF(struct pkt *pkt)\n{\n\tone(pkt);\n\treturn DROP(two);\n}\n")
    file = tmp_path / "chain.yaml"
    file.write_text(
        "ebpfnf: 1\ndeployment: x\nports: {a: {interface: e0}}\nvnfs: {r: {vnf: router}}\n"
        "chains:\n  c: {on: a, match: {}, path: [r], then: pass}\n"
    )
    done = ebpfnf("build", file, "--out", tmp_path / "bundle", "-o", "json")
    assert done.returncode == 65
    assert [(e["line"], e["error"]) for e in json.loads(done.stdout)["errors"]] == [
        (3, "function 'one' does not exist"),
        (4, "no reason 'two'"),
    ]
    lines = ebpfnf("build", file, "--out", tmp_path / "bundle").stderr.splitlines()
    assert len(lines) == 2 and all(line.startswith("error: ") for line in lines)


def test_missing_file_is_said() -> None:
    assert ebpfnf("validate", "nowhere.yaml").returncode == 65


def test_validate_and_schema_speak_json() -> None:
    assert json.loads(ebpfnf("validate", EXAMPLE, "-o", "json").stdout)["errors"] == []
    assert set(json.loads(ebpfnf("schema").stdout)) >= {"chain.yaml", "vnf.yaml", "mnf.yaml"}


def test_the_catalogue_holds_what_a_chain_may_name_and_what_stands_beside(tmp_path: Path) -> None:
    told = json.loads(ebpfnf("catalogue", "-o", "json").stdout)
    vnfs, mnfs = ({row[kind]: row for row in told[f"{kind}s"]} for kind in ("vnf", "mnf"))
    assert set(vnfs) == {path.stem for path in (ROOT / "ebpfnf" / "vnfs").glob("*.yaml")}
    assert {"acl_5t", "sqli_stream"} <= set(mnfs)
    rules = {each["name"]: each for each in vnfs["edge-firewall"]["parameters"]}["rules"]
    assert rules["required"] and vnfs["edge-firewall"]["tables"] == {"l2.rules": "acl", "acl.rules": "acl"}
    (tmp_path / "vnfs").mkdir()
    (tmp_path / "vnfs" / "own.yaml").write_text(
        "vnf: own\nsummary: Ours.\nparams: {n: {type: port, default: 81, doc: which door}}\nmnfs: {a: {mnf: http_classify, port: $n}}\n"
    )
    shown = ebpfnf("catalogue", "own", "--beside", tmp_path)
    assert shown.returncode == 0 and "own: Ours." in shown.stdout and "which door" in shown.stdout and "http_classify" in shown.stdout
    assert "did you mean 'monitor'?" in ebpfnf("catalogue", "monitr").stderr


@pytest.mark.parametrize(("columns", "most"), [("70", 70), ("", 160), ("wide", 160)])
def test_a_pipe_may_say_how_wide_tables_are(columns: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBPFNF_COLUMNS", columns)
    rules = [line for line in ebpfnf("catalogue").stdout.splitlines() if line.startswith("──")]
    assert max(map(len, rules)) <= most and (most == 70 or max(map(len, rules)) > 100)


def test_same_input_same_bundle(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert ebpfnf("build", EXAMPLE, "--out", tmp_path / name).returncode == 0
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("command", [("undeploy", "hot-swap"), ("rollback", "hot-swap")])
def test_destructive_work_is_refused_without_a_terminal(command: tuple[str, ...]) -> None:
    done = ebpfnf(*command)
    assert done.returncode == 1
    assert "-y" in done.stderr


@pytest.mark.parametrize("group", [(), ("table",), ("lab",), ("unikernel",)])
def test_help_says_what_each_command_does(group: tuple[str, ...]) -> None:
    """A summary fits into its line, and each command has a help of its own, without the marks of brackets in brackets."""
    done = ebpfnf(*group, "--help")
    summaries = [line.split(None, 1) for line in done.stdout.partition("Commands:")[2].partition("\n\n")[0].splitlines() if line.strip()]
    assert summaries and not [words for _, words in summaries if words.endswith("...")]
    if group:
        for command, _ in summaries:
            assert "[[" not in ebpfnf(*group, command, "--help").stdout


def test_without_a_command_the_help_is_no_error() -> None:
    done = ebpfnf()
    assert done.returncode == 64 and done.stderr.startswith("Usage: ")


@pytest.mark.parametrize("output", ["/dev/full", "/nowhere/x"])
def test_where_nothing_can_be_written_is_named(output: str, tmp_path: Path) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text("ebpfnf: 1\ndeployment: x\nports: {a: {interface: e}}\nvnfs: {}\nchains: {c: {on: a, match: {}, path: [], then: drop}}")
    done = ebpfnf("build", file, "--out", output)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and ("no such file" in done.stderr or "no space" in done.stderr)


@pytest.mark.kernel
def test_what_a_chain_means_is_told_without_rights_too() -> None:
    done = ebpfnf("plan", EXAMPLE, user=65534)
    assert "programs" in done.stdout
    assert "host" in done.stderr  # either it was not asked, or it has no such interface


@pytest.mark.kernel
def test_failed_expectations_are_3(tmp_path: Path) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text(
        "ebpfnf: 1\ndeployment: x\nports: {a: {interface: e0}}\nvnfs: {}\nchains:\n  c: {on: a, match: {}, path: [], then: drop}\n"
        "expect:\n  - {on: a, packet: 'icmp 192.0.2.1 > 192.0.2.2', verdict: PASS}\n"
    )
    done = ebpfnf("test", file)
    assert done.returncode == 3, done.stderr
    assert f"{file}:8:" in done.stdout
