"""The agent of a quick command is begun before the command line is read whole."""

from __future__ import annotations

from typing import Any

import pytest

from ebpfnf.cli import early


@pytest.mark.parametrize(
    ("arguments", "begun"),
    [
        ("status", ("", "status")),
        ("--netns blue status edge -o json", ("blue", "status")),
        ("table set edge a.b.c 1 2", ("", "table set")),
        ("table", None),
        ("status --help", None),
        ("status --hosts hosts.yaml", None),
        ("--netns", None),
        ("deploy status", None),
        ("", None),
    ],
)
def test_an_agent_is_begun_where_one_is_wanted(arguments: str, begun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.delenv("EBPFNF_NETNS", raising=False)
    monkeypatch.setattr(early.LocalHost, "begin", lambda host, command: told.append((host.name, command)))
    early.begin(arguments.split())
    assert told == ([(begun[0] or "localhost", begun[1])] if begun else [])
    assert (early.host(begun[0]) if begun else early.host("")) is not early.host("")


def test_a_network_namespace_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBPFNF_NETNS", "blue")
    monkeypatch.setattr(early.LocalHost, "begin", lambda host, command: None)
    early.begin(["status"])
    assert early.host("blue").name == "blue"
