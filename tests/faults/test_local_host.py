"""The agent as a child process, as a fleet runs it: lines while it works, the agent's own error, and small."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest

from ebpfnf import bundle as bundles
from ebpfnf.errors import AgentError, HostUnreachable, TableError
from ebpfnf.fleet.local import LocalHost
from ebpfnf.kernel.insn import XDP_PASS
from tests.faults.bench import Bench

pytestmark = pytest.mark.faults


def test_events_results_and_errors_come_back(bench: Bench) -> None:
    host = LocalHost(bench.netns, bench.environment)
    payload = {"bundle": base64.b64encode(bundles.encode(bench.chain(XDP_PASS))).decode()}
    events: list[str] = []
    assert host.run("apply", payload, lambda event: events.append(event["step"]))["generation"] == 1
    assert events == ["load", "fill", "check", "pin", "flip", "attach", "attach"]
    about = {"deployment": bench.name}
    assert host.run("status", about)["ports"][0] | {"ifindex": 0} == {
        "name": "wan", "number": 1, "interface": "wan0", "ifindex": 0, "up": True, "attached": True, "mode": "native", "otherwise": "pass",
    }  # fmt: skip
    with pytest.raises(TableError, match=r"did you mean 'one\.acl\.hosts'"):
        host.run("table get", {**about, "table": "one.acl.host", "key": "192.0.2.1"})
    with pytest.raises(AgentError, match="no network namespace 'nowhere'"):
        LocalHost("nowhere").run("status", {})
    with pytest.raises(HostUnreachable, match="signal 9"):
        LocalHost(bench.netns, {**bench.environment, "EBPFNF_FAILPOINT": "locked"}).run("undeploy", about)
    assert [one["deployment"] for one in host.run("status", {})] == [bench.name]


@pytest.mark.parametrize("sent", [b"[]", b"{", b"\xff", b"{}", b'{"deployment": "../x"}', b'{"deployment": 1}', b"ebpfnf-bundle-1\nxx"])
def test_nonsense_is_told_without_a_traceback(sent: bytes) -> None:
    for command in ("apply", "rollback"):
        done = subprocess.run([sys.executable, "-m", "ebpfnf.agent", command], input=sent, capture_output=True, check=False)
        told = json.loads(done.stdout)
        assert told["error"] and done.returncode == told["exit_code"] and not done.stderr


def test_small(bench: Bench) -> None:
    """It shares the host with the traffic: 40 MB at most."""
    bundle = bundles.encode(bench.chain(XDP_PASS, entries=tuple((f"192.0.2.{i}", i) for i in range(60))))
    code = "import sys; from ebpfnf.agent.__main__ import main; main(sys.argv[1:])\n"
    code += "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    done = subprocess.run(
        [sys.executable, "-c", code, "--netns", bench.netns, "apply"], input=bundle, capture_output=True, check=False,
        env={**bench.environment, "PYTHONPATH": "."},
    )  # fmt: skip
    assert done.stderr == b"" and int(done.stdout.splitlines()[-1]) < 40_000
