"""SSH, hardened; the only place that knows fabric.

Unknown host keys are refused. A connection is given up when the other end says nothing for four seconds, whether the network, the
machine or its sshd is at fault: what a command did that was cut off is then unknown, since it may have ended all the same.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebpfnf.agent import netlink
from ebpfnf.errors import EbpfnfError, HostUnreachable, NotReached
from ebpfnf.fleet.inventory import Target

CONNECT = 3.0  # seconds for each step of connecting
_PING, _SILENCE = 1.0, 4.0  # seconds between questions, and without any answer
_TURN = 0.25
_USUAL_KEYS = ("/etc/ssh/ssh_known_hosts", "~/.ssh/known_hosts")
_UNKNOWN = "'ebpfnf status --hosts' tells what runs there; the same again does no harm"


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended: its status, and what it wrote to stderr."""

    status: int
    complaint: str


class Transport:
    """A connection that is made when it is needed, and again after it broke. One thread at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection: Any = None
        self._heard = 0.0
        self._closed = threading.Event()
        self._given_up = False

    def open(self, command: str) -> Channel:
        """Begins a shell command. NotReached: nothing happened there."""
        if self._connection is None and not self._given_up:
            self._connect()
        with self.unbroken():
            channel = self._connection.transport.open_session(timeout=_SILENCE)
            channel.settimeout(_TURN)
            channel.exec_command(command)
            return Channel(self, channel)

    @contextlib.contextmanager
    def unbroken(self) -> Iterator[None]:
        """Around what needs the connection; HostUnreachable when it breaks: what happened there is unknown."""
        import paramiko

        if self._given_up:  # perhaps while it was made
            self.close()
            raise NotReached(f"'{self._target.name}' was given up")
        try:
            yield
        except (OSError, EOFError, paramiko.SSHException) as error:
            self.close()
            words = f"'{self._target.name}' stopped answering ({_words(error)}): what happened there is unknown"
            raise HostUnreachable(words, cure=_UNKNOWN) from None
        except BaseException:
            self.close()  # its command goes on or not: nobody listens any more
            raise

    def heard(self) -> None:
        """The other end said something."""
        self._heard = time.monotonic()

    def check(self, deadline: float) -> None:
        """TimeoutError when the other end has been silent for too long, or it is past the deadline."""
        now = time.monotonic()
        if now > deadline:
            raise TimeoutError("it took too long")
        if now - self._heard > _SILENCE:
            raise TimeoutError("silent")

    def give_up(self) -> None:
        """From another thread: what it does ends now, and nothing begins any more."""
        self._given_up = True
        self.close()

    def close(self) -> None:
        """Ends the connection; the next command makes another."""
        connection, self._connection = self._connection, None
        self._closed.set()
        while connection is not None and not isinstance(connection, str):
            with contextlib.suppress(Exception):
                connection.client.close()
            connection = connection.gateway

    def _connect(self) -> None:
        import paramiko

        target = self._target
        who = f"'{target.name}' at {target.address}"
        try:
            self._connection = _connection(target)
            self._connection.open()
        except paramiko.BadHostKeyException:
            cure = f"if it was set up anew: ssh-keygen -R {target.address}, then add its new key"
            self._refuse(f"{who} has another host key than the known one: refused, nothing was done", cure)
        except paramiko.AuthenticationException:
            self._refuse(
                f"{who} takes none of our keys for user '{self._connection.user}'", "ssh-add a key that it knows, or name it as 'key'"
            )
        except (OSError, EOFError, paramiko.SSHException, EbpfnfError) as error:
            if "not found in known_hosts" in str(error):
                self._refuse(f"{who} has a host key that is not known: refused, nothing was done", "check the key, add it to known_hosts")
            self._refuse(f"can't reach {who} ({_words(error)}): nothing was done there", "is it up, and the network between?")
        self._heard, self._closed = time.monotonic(), threading.Event()
        threading.Thread(target=self._ping, args=(self._connection.transport, self._closed), daemon=True).start()

    def _refuse(self, what: str, cure: str) -> None:
        self.close()
        raise NotReached(what, self._target.where, cure) from None

    def _ping(self, transport: Any, closed: threading.Event) -> None:
        """Asks something that every sshd answers, if only by a refusal."""
        while not closed.wait(_PING) and transport.is_active():
            with contextlib.suppress(Exception):
                transport.global_request("keepalive@openssh.com", wait=True)
                if transport.is_active():
                    self.heard()


class Channel:
    """A command that runs there: what it is sent, and the lines that it says."""

    def __init__(self, transport: Transport, channel: Any) -> None:
        self._transport, self._channel = transport, channel
        self._rest = b""

    @property
    def open(self) -> bool:
        """Whether it runs still, for all that is known."""
        return bool(not self._channel.closed and not self._channel.exit_status_ready() and self._channel.transport.is_active())

    def talk(self, data: bytes, heard: Callable[[str], bool], seconds: float, *, last: bool = False) -> Finished | None:
        """Sends `data`, with `last` all that there will be, and hands on lines until one is what was waited for.

        Finished: it ended instead. HostUnreachable: what happened there is unknown.
        """
        deadline = time.monotonic() + seconds
        with self._transport.unbroken():
            self._send(data, deadline)
            if last and not self._channel.closed:
                self._channel.shutdown_write()
            return None if self._listen(heard, deadline) else self._finished(deadline)

    def complaint(self) -> str:
        """What it wrote to stderr since it was asked last."""
        said = b"".join(iter(lambda: self._channel.recv_stderr(1 << 16) if self._channel.recv_stderr_ready() else b"", b""))
        return said.decode(errors="replace").strip()

    def _send(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest and self.open:
            with contextlib.suppress(TimeoutError):
                rest = rest[self._channel.send(rest[: 1 << 15]) :]
            self._transport.check(deadline)

    def _listen(self, heard: Callable[[str], bool], deadline: float) -> bool:
        while True:
            try:
                data = self._channel.recv(1 << 16)
            except TimeoutError:
                self._transport.check(deadline)
                continue
            if not data:
                return False
            self._transport.heard()
            *lines, self._rest = (self._rest + data).split(b"\n")
            if any([heard(line.decode(errors="replace")) for line in lines]):
                return True

    def _finished(self, deadline: float) -> Finished:
        channel = self._channel
        while not channel.exit_status_ready():  # its output is closed, it may not have ended
            if channel.closed or not channel.transport.is_active():
                raise EOFError("the connection broke")
            self._transport.check(deadline)
            time.sleep(0.01)
        complaint, status = self.complaint(), channel.recv_exit_status()
        if status == -1 and not channel.transport.is_active():
            raise EOFError("the connection broke")
        channel.close()
        return Finished(status, complaint)


def _words(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def _connection(target: Target) -> Any:
    """A fabric connection, not yet open, that has forgotten its trust in strangers."""
    import fabric

    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    logging.getLogger("paramiko").propagate = False  # it tells with a traceback what we tell in words
    options: dict[str, Any] = {"banner_timeout": CONNECT, "auth_timeout": CONNECT, "channel_timeout": CONNECT}
    if target.key:
        options |= {"key_filename": [target.key], "look_for_keys": False, "allow_agent": False}
    connection = fabric.Connection(
        target.address,
        user=target.user or None,
        port=target.port or None,
        gateway=_connection(target.jump) if target.jump else None,
        connect_timeout=CONNECT,
        connect_kwargs=options,
    )
    _harden(connection, target)
    if connection.gateway is None:
        connection.connect_kwargs["sock"] = _socket(connection.host, connection.port, target.netns)
    return connection


def _harden(connection: Any, target: Target) -> None:
    """Also the connections that ssh's own configuration puts in between."""
    import paramiko

    while connection is not None and not isinstance(connection, str):
        client = connection.client
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        for file in [target.known_hosts] if target.known_hosts else _USUAL_KEYS:
            path = Path(file).expanduser()
            if path.exists():
                client.load_system_host_keys(str(path))
        connection = connection.gateway if target.jump is None else None  # `jump` has been through here itself


def _socket(address: str, port: int, netns: str) -> socket.socket:
    """A connected socket, made inside `netns`: it stays there, only a passing thread goes in."""
    made: list[socket.socket] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            if netns:
                netlink.enter(netns)
            made.append(socket.create_connection((address, port), CONNECT))
        except (OSError, EbpfnfError) as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    made[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3000)  # milliseconds without an acknowledgement
    return made[0]
