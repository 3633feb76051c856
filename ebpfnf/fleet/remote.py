"""A host reached by SSH: it gets the agent when it hasn't got it, then takes commands as any other."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ebpfnf.errors import AgentError, HostUnreachable, PrivilegeError
from ebpfnf.fleet import ship
from ebpfnf.fleet.host import Answer, OnEvent, ignore
from ebpfnf.fleet.inventory import Target
from ebpfnf.fleet.transport import Finished, Transport

SECONDS = 120  # for a command, after which the host itself ends it
_NO_AGENT = 91
_NO_COMMAND = 127
_ENDED = (124, 137)  # by timeout(1)
_GRACE = 5


class SshHost:
    """Runs the agent by SSH, through `sudo -n` where the inventory says so. Closes with `close`, or at the end of a `with`."""

    def __init__(self, target: Target, environment: Mapping[str, str] | None = None, seconds: int = SECONDS) -> None:
        self.name, self.target = target.name, target
        self._transport = Transport(target)
        self._environment, self._seconds = [f"{key}={value}" for key, value in (environment or {}).items()], seconds

    def run(self, command: str, payload: Mapping[str, Any], on_event: OnEvent = ignore) -> Any:
        """See `Host.run`; HostUnreachable where the host fell silent: what happened there is unknown."""
        agent, answer = ship.agent(), Answer(on_event)
        data = json.dumps(payload).encode()
        argv = ["env", *self._environment, "timeout", "-k1", str(self._seconds), "python3", "-I", agent.path, command]
        script = f"test -r {agent.path} || exit {_NO_AGENT}; exec {shlex.join(argv)}"
        finished = self._shell(script, data, answer)
        if finished.status == _NO_AGENT:
            self._install(agent)
            finished = self._shell(script, data, answer)
        if finished.status in _ENDED:
            words = f"the agent on '{self.name}' took more than {self._seconds} s and was ended: what it did is unknown"
            raise HostUnreachable(words, cure="'ebpfnf status --hosts' tells what runs there")
        last = finished.complaint.splitlines()[-1:] or [""]
        how = "killed by a signal" if finished.status == -1 else f"status {finished.status}"
        words = f"the agent on '{self.name}' ended without an answer: {how}" + (f": {last[0]}" if last[0] else "")
        return answer.result(HostUnreachable(words, cure="'ebpfnf status --hosts' tells what runs there"))

    def close(self) -> None:
        """Ends the connection."""
        self._transport.close()

    def give_up(self) -> None:
        """From another thread: the command that runs is not waited for, none begins any more."""
        self._transport.give_up()

    def __enter__(self) -> SshHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _install(self, agent: ship.Agent) -> None:
        argv = ["timeout", "-k1", str(self._seconds), "python3", "-I", "-c", ship.installer(), ship.FOLDER, agent.digest]
        finished = self._shell(f"exec {shlex.join(argv)}", agent.data, Answer(ignore))
        if finished.status:
            words = finished.complaint.splitlines()[-1:] or [f"status {finished.status}"]
            raise AgentError(
                f"'{self.name}' does not take the agent: {words[0]}", self.target.where, "it needs python3, and room in /var/lib"
            )

    def _shell(self, script: str, data: bytes, answer: Answer) -> Finished:
        argv: Sequence[str] = ["sh", "-c", script]
        if self.target.sudo:
            argv = ["sudo", "-n", *argv]
        finished = self._transport.run(shlex.join(argv), data, answer.line, self._seconds + _GRACE)
        if self.target.sudo and (finished.complaint.startswith("sudo:") or finished.status == _NO_COMMAND):
            words = (finished.complaint.splitlines() or ["not there"])[0].removeprefix("sudo: ")
            raise PrivilegeError(
                f"sudo on '{self.name}': {words}", self.target.where, "allow it without a password there, or connect as root"
            )
        return finished
