"""Images behind taps: booted before the flip, told apart by content, replaced, started again, refused where they are not what was meant."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ebpfnf import packets, pipeline, spec
from ebpfnf.agent import apply
from ebpfnf.bundle import encode
from ebpfnf.errors import AgentError
from ebpfnf.model import Bundle
from ebpfnf.vm import domain, foreign
from tests.vm.conftest import Host

pytestmark = pytest.mark.vm

CHAIN = """
ebpfnf: 1
deployment: %s
ports:
  a: {interface: a0}
  b: {interface: b0}
  to: {interface: %s, otherwise: drop}
functions:
  box: {attached: [to], on_failure: bypass, image: {disk: disk, memory: 32, ready: %s}}
chains:
  there: {on: a, match: {}, path: [], then: "out: to"}
  behind: {on: to, match: {}, path: [], then: "out: b"}
"""
# 16-bit: say all bytes from TT up to 0 to the serial port; then halt for ever, or reset the machine
_SAY = bytes.fromhex("fa31c08ed8be") + b"TT" + bytes.fromhex("ac84c07406baf803eeebf5")
_HALT, _RESET = bytes.fromhex("f4ebfd"), bytes.fromhex("baf90cb006eeebfe")


@pytest.fixture
def apart(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt of its own: what this process opened in other tests it holds until it ends."""
    monkeypatch.setenv("EBPFNF_LIBVIRT", f"qemu:///embed?root=/run/ebpfnf/vms/watch-{os.getpid()}")


def disk(folder: Path, says: bytes, then: bytes = _HALT) -> None:
    """The smallest disk that boots: its first sector writes to the serial port."""
    code = _SAY + then
    text = 0x7C00 + len(code)
    (folder / "disk").write_bytes(
        (code.replace(b"TT", text.to_bytes(2, "little")) + says + b"\0").ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20)
    )


def bundle(folder: Path, host: Host, ready: str, interface: str = "box0") -> Bundle:
    (folder / "chain.yaml").write_text(CHAIN % (host.name, interface, ready))
    return pipeline.build(spec.load(folder / "chain.yaml"))


def agent(command: str, data: bytes) -> dict[str, Any]:
    """By a process of its own, which lets go of libvirt."""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, "-m", "ebpfnf.agent", command], input=data, capture_output=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def box(told: dict[str, Any]) -> dict[str, Any]:
    (found,) = told["functions"]
    return dict(found)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def kept() -> list[str]:
    return sorted(folder.name for folder in domain.home().glob("ebpfnf-image.*"))


def test_an_image_is_booted_before_it_gets_packets_replaced_and_taken_away(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(tmp_path, b"here I am")
    wanted = bundle(tmp_path, host, "here I am")
    assert apply.apply(wanted).actions[0].startswith("start ebpfnf-image.")
    assert (box(host.status())["image"], box(host.status())["sent_to"]) == ("running", True)
    assert not apply.apply(wanted).changed

    (before,) = kept()
    disk(tmp_path, b"another")
    verbs = [words.partition(" ")[0] for words in apply.apply(bundle(tmp_path, host, "another")).actions]
    assert verbs[0] == "start" and verbs.index("stop") > verbs.index("grace")
    (after,) = kept()
    assert after != before and box(host.status())["sent_to"], "another content is another machine, behind the same tap"

    with pytest.raises(AgentError, match="is another one than the bundle was built for"):
        apply.rollback(host.name)
    monkeypatch.setattr(foreign, "READY_SECONDS", 2.0)
    with pytest.raises(AgentError, match="did not say 'something else'"):
        apply.apply(bundle(tmp_path, host, "something else"))
    assert kept() == [after] and (box(host.status())["image"], box(host.status())["sent_to"]) == ("running", True), "as it was"

    apply.undeploy(host.name)
    assert kept() == []
    assert not any(line.strip().startswith("box0:") for line in Path("/proc/thread-self/net/dev").read_text().splitlines())


def test_one_that_ends_is_led_past_and_started_again(apart: None, host: Host, tmp_path: Path) -> None:
    disk(tmp_path, b"up")
    assert "result" in agent("apply", encode(bundle(tmp_path, host, "up")))
    argv = [sys.executable, "-m", "ebpfnf.agent", "watch"]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as watching:
        assert watching.stdin and watching.stdout
        try:
            watching.stdin.write(json.dumps({"deployment": host.name}))
            watching.stdin.close()
            (name,) = kept()
            os.kill(int(subprocess.check_output(["pgrep", "-f", f"guest={name}"]).split()[0]), signal.SIGKILL)
            told = json.loads(watching.stdout.readline())
            assert (told["step"], told["what"], told["detail"]) == ("serve", "box", "no carrier")
            with host.socket("a1") as source:
                source.send(packets.build("udp 192.0.2.9:4000 > 198.51.100.7:80 payload 'x'"))
            until(lambda: host.counter("box.bypassed") == 1)
            assert json.loads(watching.stdout.readline())["step"] == "restart"
        finally:
            watching.terminate()
            watching.wait(60)  # it lets its child finish
    now = box(agent("status", json.dumps({"deployment": host.name}).encode())["result"])
    assert now["image"] == "running" and now["sent_to"] and now["sent"] == 0


def test_what_is_not_as_it_was_meant_is_refused_and_leaves_nothing(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk(tmp_path, b"up")
    wanted = bundle(tmp_path, host, "up")
    with pytest.raises(AgentError, match="interface 'a1' is here and no tap"):
        apply.apply(bundle(tmp_path, host, "up", "a1"))
    monkeypatch.setattr(foreign, "READY_SECONDS", 2.0)
    for content, error in ((b"something else", "is another one than the bundle was built for"), (None, "no such file")):
        disk(tmp_path, content) if content else (tmp_path / "disk").unlink()
        with pytest.raises(AgentError, match=error):
            apply.apply(wanted)
    disk(tmp_path, b"down", then=_RESET)
    with pytest.raises(AgentError, match="function 'box': its machine ended before it was ready"):
        apply.apply(bundle(tmp_path, host, "up"))
    disk(tmp_path, b"down")
    with pytest.raises(AgentError, match="function 'box' did not say 'up' within 2 s"):
        apply.apply(bundle(tmp_path, host, "up"))
    assert kept() == [] and not host.status()["running"]
