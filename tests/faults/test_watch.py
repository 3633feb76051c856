"""A watch mends what happens to ports and pins within a second, and says what it can't."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ebpfnf.errors import AgentError
from ebpfnf.kernel.insn import XDP_PASS
from tests.faults.bench import LAN, WAN, Bench, chain, ip

pytestmark = pytest.mark.faults

MANAGER = {"manager": {"by": "somebody", "epoch": 1, "plan": ""}}


@contextlib.contextmanager
def watching(bench: Bench) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "ebpfnf.agent", "--netns", bench.netns, "watch"]
    environment = {**os.environ, **bench.environment}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdin
            process.stdin.write(json.dumps({"deployment": bench.name}))
            process.stdin.close()
            yield process
        finally:
            process.terminate()


def soon(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10  # far more than it takes: a busy machine is no fault
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def kept(bench: Bench, tmp_path: Path) -> Bench:
    """A deployment that a manager sent."""
    bench.environment["EBPFNF_STATE"] = str(tmp_path / "state")
    bench.apply(bench.chain(XDP_PASS), **MANAGER)
    return bench


def test_a_lost_link_is_attached_again(kept: Bench) -> None:
    with watching(kept), kept.here() as at:
        os.unlink(at.link("wan"))
        assert soon(lambda: kept.answer("wan") == XDP_PASS)
    kept.tidy()


def test_an_interface_made_anew_gets_the_chain_of_the_manager(kept: Bench) -> None:
    ip("-n", kept.netns, "link", "del", "wan0")
    with watching(kept) as watch:
        assert watch.stdout and json.loads(watch.stdout.readline())["step"] == "alarm"
        ip("-n", kept.netns, "link", "add", "wan0", "type", "veth", "peer", "name", "wan1")
        assert soon(lambda: kept.answer("wan") == XDP_PASS)
    assert kept.status()["warnings"] == []


def test_a_bpffs_that_was_unmounted(kept: Bench) -> None:
    """All pins go with it and the ports are bare: told, and brought back as soon as there is a bpffs again."""
    folder = kept.environment["EBPFNF_BPFFS"]
    subprocess.run(["umount", folder], check=True)
    with watching(kept) as watch:
        try:
            told = json.loads(watch.stdout.readline()) if watch.stdout else {}
        finally:
            subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
        assert told["step"] == "alarm" and "no bpffs" in told["detail"]
        assert soon(lambda: kept.answer("wan") == XDP_PASS)
    kept.tidy()


def test_what_was_taken_off_stays_off(kept: Bench) -> None:
    with watching(kept) as watch:
        kept.run("undeploy", MANAGER)
        time.sleep(1.2)  # two looks
        assert kept.answer("wan") is None and watch.poll() is None
        assert watch.stdout and json.loads(watch.stdout.readline())["step"] == "wait"  # for the next deploy, as it says
    assert not (Path(kept.environment["EBPFNF_STATE"]) / kept.name / "bundle").exists()


def test_a_boot_goes_on_past_what_can_not_run_and_says_so(kept: Bench) -> None:
    """So that the unit has failed, and systemd tries again until the interface is there."""
    other = Bench.beside(kept)
    other.environment["EBPFNF_STATE"] = kept.environment["EBPFNF_STATE"]
    kept.run("undeploy")
    other.name = f"a-{other.name}"  # its turn is first
    other.apply(chain(other.name, XDP_PASS, WAN), **MANAGER)
    other.run("undeploy")
    kept.apply(kept.chain(XDP_PASS, LAN), **MANAGER)
    kept.run("undeploy")
    ip("-n", kept.netns, "link", "del", "wan0")
    with pytest.raises(AgentError, match=f"'{other.name}' does not run: .*no interface 'wan0'"):
        kept.run("boot")
    assert kept.answer("lan") == XDP_PASS and other.answer("wan") is None
    ip("-n", kept.netns, "link", "add", "wan0", "type", "veth", "peer", "name", "wan1")
    assert kept.run("boot")[other.name]["changed"] and other.answer("wan") == XDP_PASS
