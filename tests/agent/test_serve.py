"""An agent that serves: what one command does, or dies of, is nothing to the next, and what was begun ends when nobody listens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.kernel


class Agent:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def ask(self, command: str, seconds: int = 60, **payload: Any) -> list[dict[str, Any]]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({"command": command, "payload": payload, "seconds": seconds}).encode() + b"\n")
        self.process.stdin.flush()
        said = []
        while not said or "ended" not in said[-1]:
            said.append(json.loads(self.process.stdout.readline()))
        return said


@pytest.fixture
def agent(tmp_path) -> Iterator[Agent]:
    environment = {**os.environ, "EBPFNF_RUN": str(tmp_path), "EBPFNF_STATE": str(tmp_path), "EBPFNF_FAILPOINT": "locked"}
    argv = [sys.executable, "-m", "ebpfnf.agent", "serve"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        yield Agent(process)
        process.kill()


def test_commands_one_after_another(agent: Agent) -> None:
    about = {"deployment": "served"}
    assert agent.ask("status", **about)[0]["result"]["running"] is False
    assert [each.get("ended") for each in agent.ask("undeploy", **about)] == [-9], "killed in the middle"
    wrong = agent.ask("no such thing")
    assert "no command" in wrong[0]["error"] and wrong[1] == {"ended": 1}
    assert agent.ask("watch", seconds=1, **about)[-1] == {"ended": -14}, "took too long"
    assert agent.ask("kept", **about)[0]["result"]["digest"] == "" and agent.process.poll() is None


def test_what_was_begun_ends_without_a_listener(agent: Agent, tmp_path) -> None:
    assert agent.process.stdin and agent.process.stdout
    agent.process.stdout.close()
    claim = {"deployment": "served", "manager": {"by": "me", "epoch": 1, "plan": ""}}
    asked = {"command": "claim", "payload": claim, "seconds": 60}
    agent.process.stdin.write(json.dumps(asked).encode() + b"\n")
    agent.process.stdin.close()
    assert agent.process.wait(20) == 0
    assert json.loads((tmp_path / "served" / "claim").read_text())["epoch"] == 1


@pytest.mark.parametrize("line", [b"[]", b"{", b'{"command": "status", "payload": [], "seconds": 1}', b'{"command": "status"}'])
def test_nonsense_is_told_without_a_traceback(agent: Agent, line: bytes) -> None:
    out, complaint = agent.process.communicate(line + b"\n")
    assert "what the agent was asked is no object" in json.loads(out)["error"] and not complaint
