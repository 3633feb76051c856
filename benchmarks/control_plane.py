"""The operator's waiting times on the example chain, through the command line as he uses it, and what compiler and agent need of memory."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.measure import Figure, figure, interleaved
from ebpfnf.agent import edit, netlink
from ebpfnf.lab.lab import Lab

CHAIN = Path(__file__).resolve().parent.parent / "examples" / "dc-edge" / "chain.yaml"
ROUNDS = 9


def run() -> list[Figure]:
    """Needs root: a lab of its own, which is removed afterwards."""
    lab = Lab("bench")
    lab.up()
    try:
        return _measured(lab.namespace("dut"))
    finally:
        _ebpfnf(lab.namespace("dut"), "undeploy", "-y", "dc-edge")
        lab.down()


def _measured(netns: str) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        other = Path(name, "chain.yaml")  # one more rule: a redeploy with something to do
        other.write_text(CHAIN.read_text().replace("192.0.2.0/24, ", "").replace("203.0.113.0/24,", "203.0.113.0/24, 198.18.0.0/15,"))
        files = [CHAIN, other]
        turn = iter(range(10**6))
        _ebpfnf(netns, "deploy", str(CHAIN))
        arms = {
            "plan": lambda: _ebpfnf(netns, "plan", str(CHAIN)),
            "deploy of a change, warm": lambda: _ebpfnf(netns, "deploy", str(files[(next(turn) + 1) % 2]), "--discard-entries", "-y"),
            "status": lambda: _ebpfnf(netns, "status", "dc-edge"),
            "table set, command": lambda: _ebpfnf(netns, "table", "set", "dc-edge", "stats.subnets.subnets", "10.99.0.0/16", "7"),
        }
        samples = interleaved(arms, ROUNDS)
        samples["deploy of no change"] = interleaved(
            {"": lambda: _ebpfnf(netns, "deploy", str(files[next(turn) % 2]), "--discard-entries", "-y")}, 3
        )[""]
        live = _table_changes(netns)
        agent, compiler = _memory(netns)
    goals = {"plan": 1000.0, "deploy of a change, warm": 1000.0}
    return [
        *(figure(name, times, "ms", goals.get(name)) for name, times in samples.items()),
        figure("table change live (hash)", live[0], "ms", 10.0),
        figure("table change live (acl, replaced whole)", live[1], "ms", 10.0),
        figure("agent, peak resident", agent, "MB", 40.0),
        figure("compiler, peak resident", compiler, "MB", 250.0),
    ]


def _ebpfnf(netns: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "ebpfnf.cli.main", "--netns", netns, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ebpfnf {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _table_changes(netns: str) -> tuple[list[float], list[float]]:
    """From the call to the change being readable, inside the agent: without the start of a process."""
    samples: tuple[list[float], list[float]] = ([], [])

    def work() -> None:
        netlink.enter(netns)
        rule = next(value for _, value in edit.dump("dc-edge", "edge.acl.rules"))
        for number in range(ROUNDS):
            for which, (table, key, value) in enumerate(
                [("stats.subnets.subnets", f"10.{number}.0.0/16", 9), ("edge.acl.rules", str(1000 + number), rule)]
            ):
                began = time.perf_counter()
                edit.put("dc-edge", table, key, value)
                samples[which].append((time.perf_counter() - began) * 1e3)
                if edit.get("dc-edge", table, key) is None:
                    raise RuntimeError(f"{table} does not hold what was written")

    thread = threading.Thread(target=work)  # the namespace is the thread's
    thread.start()
    thread.join()
    return samples


def _memory(netns: str) -> tuple[list[float], list[float]]:
    """Peak resident MB of the agent's process during a deploy, and of a compilation's child."""
    from ebpfnf import bundle, pipeline

    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "bundle")
        data = base64.b64encode(bundle.encode(pipeline.build_file(CHAIN))).decode()
        file.write_text(json.dumps({"bundle": data, "discard_entries": True}))
        agent = _peak([sys.executable, "-s", "-m", "ebpfnf.agent", "--netns", netns, "dry-run", str(file)], {})
        build = [sys.executable, "-m", "ebpfnf.cli.main", "build", str(CHAIN), "--out", str(Path(name, "again"))]
        compiler = _peak(build, {"EBPFNF_CACHE": "off"})
    return [agent], [compiler]


def _peak(argv: list[str], environment: dict[str, str]) -> float:
    """MB of the largest process among this one's children and theirs, by a process that only starts it."""
    code = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True)\n"
        "print(json.dumps([done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, env={**os.environ, **environment})
    status, kilobytes = json.loads(done.stdout)
    if status:
        raise RuntimeError(f"{' '.join(argv)} failed")
    return float(kilobytes) / 1024
