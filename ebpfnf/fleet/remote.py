"""A host reached by SSH: it gets the agent when it hasn't got it, then one that serves takes all commands of a connection."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ebpfnf.errors import AgentError, HostUnreachable, PrivilegeError
from ebpfnf.fleet import failpoints, ship
from ebpfnf.fleet.host import Answer, OnEvent, ignore
from ebpfnf.fleet.inventory import Target
from ebpfnf.fleet.transport import Channel, Finished, Transport

SECONDS = 120  # for a command, after which the host itself ends it
_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH"  # the machine's own python3 first: the one that starts the agent at boot
_NO_AGENT = 91
_NO_COMMAND = 127
_GRACE = 5
_CAPABILITIES = "-all,+bpf,+net_admin,+perfmon"  # as in hosts/ebpfnf.service


class SshHost:
    """Runs the agent by SSH, through `sudo -n` where the inventory says so. Closes with `close`, or at the end of a `with`."""

    def __init__(self, target: Target, environment: Mapping[str, str] | None = None, seconds: int = SECONDS) -> None:
        self.name, self.target = target.name, target
        self._transport = Transport(target)
        self._agent: Channel | None = None
        self._environment, self._seconds = [f"{key}={value}" for key, value in (environment or {}).items()], seconds

    def run(self, command: str, payload: Mapping[str, Any], on_event: OnEvent = ignore) -> Any:
        """See `Host.run`; HostUnreachable where the host fell silent: what happened there is unknown."""
        answer, asked = Answer(on_event), {"command": command, "payload": payload, "seconds": self._seconds}
        finished = self._ask(asked, answer)
        if finished and finished.status == _NO_AGENT:
            self._install(ship.agent())
            finished = self._ask(asked, answer)
        status, complaint = (finished.status, finished.complaint) if finished else (answer.status, self._complaint())
        if status == -signal.SIGALRM:
            words = f"the agent on '{self.name}' took more than {self._seconds} s and was ended: what it did is unknown"
            raise HostUnreachable(words, cure="'ebpfnf status --hosts' tells what runs there")
        last = complaint.splitlines()[-1:] or [""]
        how = "killed by a signal" if status is None or status < 0 else f"status {status}"
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

    def _ask(self, asked: Mapping[str, Any], answer: Answer) -> Finished | None:
        """None: it answered, and waits for the next command. An agent that is still there from the last one is asked, else one begins."""
        if self._agent is None or not self._agent.open:
            path = ship.agent().path
            argv = ["env", *self._environment, "python3", "-I", path, "serve"]
            self._agent = self._begin(f"test -r {path} || exit {_NO_AGENT}; exec {shlex.join(argv)}")
        finished = self._talk(self._agent, asked["command"], json.dumps(asked).encode() + b"\n", answer.line)
        if finished:
            self._agent = None
        return finished

    def _complaint(self) -> str:
        return self._agent.complaint() if self._agent else ""

    def _install(self, agent: ship.Agent) -> None:
        argv = ["timeout", "-k1", str(self._seconds), "python3", "-I", "-c", ship.installer(), ship.FOLDER, agent.digest]
        channel = self._begin(f"exec {shlex.join(argv)}")
        finished = self._talk(channel, "install", agent.data, None)
        if finished and finished.status:
            *_, last = [f"status {finished.status}", *finished.complaint.splitlines()]
            what, where = f"'{self.name}' does not take the agent: {last}", self.target.where
            if last.endswith(os.strerror(errno.EACCES)):
                raise PrivilegeError(what, where, "connect as root, or with 'sudo: true'")
            raise AgentError(what, where, "it needs python3, and room in /var/lib")

    def _begin(self, script: str) -> Channel:
        sudo = ["sudo", "-n"] if self.target.sudo else []
        return self._transport.open(shlex.join([*sudo, *confined(self.target.agent_user), "sh", "-c", f"{_PATH}; {script}"]))

    def _talk(self, channel: Channel, what: str, data: bytes, line: Callable[[str], bool] | None) -> Finished | None:
        """All that is ever said to a host goes through here. No `line`: this is all, and only the end is waited for."""

        def heard(text: str) -> bool:
            over = bool(line and line(text))
            if not over:
                failpoints.passed(self.name, what, "heard")
            return over

        failpoints.passed(self.name, what, "before")
        finished = channel.talk(data, heard, self._seconds + _GRACE, last=line is None)
        if finished and self.target.sudo:
            *_, last = ["", *finished.complaint.splitlines()]  # before it there may be warnings, such as of a name that it can't resolve
            if (finished.status == 1 and last.startswith("sudo:")) or (finished.status == _NO_COMMAND and "sudo:" in last):
                words = last.rpartition("sudo:")[2].strip()
                raise PrivilegeError(
                    f"sudo on '{self.name}': {words}", self.target.where, "allow it without a password there, or connect as root"
                )
        return finished


def confined(user: str) -> Sequence[str]:
    """What goes before a command so that it is that user's, with no more rights than packets need, and no way to more."""
    if not user:
        return ()
    rights = [f"--{which}={_CAPABILITIES}" for which in ("inh-caps", "ambient-caps", "bounding-set")]
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--no-new-privs", *rights)
