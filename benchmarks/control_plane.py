"""The operator's waiting times on the example chain, through the command line as he uses it, and what compiler and agent need of memory."""

from __future__ import annotations

import base64
import compileall
import gc
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import chains
from benchmarks.measure import ROUNDS, Figure, figure, interleaved
from ebpfnf import bundle, pipeline
from ebpfnf.agent import apply, edit, netlink
from ebpfnf.agent.observe import observe
from ebpfnf.agent.plan import Options
from ebpfnf.agent.status import status
from ebpfnf.lab.lab import Lab
from ebpfnf.spec.library import BUILT_IN

NAME, RULES = "bench-edge", "bench-rules"
SETTLED = 0.1  # seconds after which a change's grace period is over, also beside other work
CHANGES, MANY = 1000, 10_000

_RULES = """\
ebpfnf: 1
deployment: {name}
ports:
  wan: {{interface: eth0}}
vnfs:
  edge:
    vnf: edge-firewall
    rules:
{rules}
chains:
  inbound: {{on: wan, match: {{}}, path: [edge], then: pass}}
"""


def run() -> list[Figure]:
    """Needs root: a lab of its own, which is removed afterwards."""
    compileall.compile_dir(str(Path(bundle.__file__).parent), quiet=1)  # bytecode, as wherever ebpfnf has run before
    lab = Lab("bench")
    lab.up()
    netns = lab.namespace("dut")
    try:
        found = [*_measured(netns, "auto"), *_measured(netns, "kernel")]
        _ebpfnf(netns, "undeploy", "-y", NAME)
        return [*found, *_in_namespace(netns, _rule_of_many)]
    finally:
        for name in (NAME, RULES):
            _ebpfnf(netns, "undeploy", "-y", name)
        lab.down()


def _measured(netns: str, tables: str) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        text = chains.DC_EDGE.read_text().replace("deployment: dc-edge", f"deployment: {NAME}\ntables: {tables}")
        files = [Path(name, "chain.yaml"), Path(name, "other.yaml")]  # one prefix more in a rule: a redeploy with something to do
        for file, wanted in zip(files, (text, text.replace("203.0.113.0/24,", "203.0.113.0/24, 198.18.0.0/15,")), strict=True):
            file.write_text(wanted)
        live = 1

        def other() -> None:
            nonlocal live
            live = 1 - live
            _ebpfnf(netns, "deploy", str(files[live]), "--discard-entries", "-y")

        other()
        arms: dict[str, Callable[[], object]] = {
            "plan": lambda: _ebpfnf(netns, "plan", str(files[0]), "--discard-entries"),
            "deploy of a change, warm": other,
            "deploy of no change": lambda: _ebpfnf(netns, "deploy", str(files[live]), "--keep-entries"),
            "status": lambda: _ebpfnf(netns, "status", NAME),
            "table set, command": lambda: _ebpfnf(netns, "table", "set", NAME, "stats.subnets.subnets", "10.99.0.0/16", "7"),
        }
        goals = {"plan": 1000.0, "deploy of a change, warm": 1000.0, "status": 200.0}
        needed: dict[str, list[float]] = {arm: [] for arm in arms}
        for arm, times in interleaved({arm: _counted(command, needed[arm]) for arm, command in arms.items()}, ROUNDS).items():
            yield figure(f"{arm}, {tables}", times, "ms", goals.get(arm))
            yield figure(f"{arm}, {tables}, of it CPU", needed[arm], "ms")
        yield figure(f"swap of a body, {tables}", _swaps(netns, files[live], Path(name, "size_hist")), "ms", 400.0)
        yield from _in_namespace(netns, lambda: _inside(tables))
        for command, peak in _memory(netns, files[0], files[1 - live]).items():
            yield figure(f"{command}, {tables}, peak resident", [peak], "MB", 250.0 if command == "compiler" else 40.0)


def _swaps(netns: str, file: Path, other: Path) -> list[float]:
    """Milliseconds of the command, each time with a body that was never compiled before."""
    shutil.copytree(BUILT_IN / "progs" / "size_hist", other)
    body, taken = (other / "mnf.c").read_text(), []
    for number in range(ROUNDS):
        (other / "mnf.c").write_text(body.replace("get_pkt_len(pkt)", f"get_pkt_len(pkt) + {time.time_ns() % 10**6 + number}"))
        began = time.perf_counter()
        _ebpfnf(netns, "swap", str(file), "stats.sizes", "--with", str(other), "-y")
        taken.append((time.perf_counter() - began) * 1e3)
    return taken


def _ebpfnf(netns: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "ebpfnf", "--netns", netns, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ebpfnf {' '.join(arguments)}: {done.stderr.strip()}")


def _counted(command: Callable[[], object], needed: list[float]) -> Callable[[], None]:
    """The command, which notes what it and its children needed of a CPU: that says more where others are at work too."""

    def run() -> None:
        before = os.times()
        command()
        after = os.times()
        needed.append((after.children_user + after.children_system - before.children_user - before.children_system) * 1e3)

    return run


def _in_namespace(netns: str, work: Callable[[], list[Figure]]) -> list[Figure]:
    """What `work` gives inside a network namespace, which is a thread's."""
    found: list[Figure] = []

    def inside() -> None:
        netlink.enter(netns)
        found.extend(work())

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if not found:
        raise RuntimeError("the work in the namespace failed")
    return found


def _inside(tables: str) -> list[Figure]:
    """Calls of the agent without the start of a process: one change, changes right after each other, status."""
    rule = next(value for _, value in edit.dump(NAME, "edge.acl.rules"))
    found = []
    for what, table, key, value in (("prefix", "stats.subnets.subnets", "10.{}.0.0/16", 9), ("acl", "edge.acl.rules", "{}", rule)):
        for how, pause in (("", SETTLED), ("right after another, ", 0.0)):
            taken = []
            for number in range(1, 2 * ROUNDS + 1):
                time.sleep(pause)
                taken.append(_put(NAME, table, key.format(number), value))
            found.append(figure(f"live change, {what}, {how}{tables}", taken, "ms", 10.0 if pause else None))
    asked = interleaved({"": lambda: (status(observe(NAME, entries=True)), None)[1]}, 2 * ROUNDS)[""]
    return [*found, figure(f"status, warm agent, {tables}", asked, "ms", 20.0)]


def _put(deployment: str, table: str, key: str, value: object) -> float:
    """Milliseconds until the call returns; then the change is in force, as packets and readers see the same."""
    began = time.perf_counter()
    edit.put(deployment, table, key, value)
    taken = (time.perf_counter() - began) * 1e3
    if edit.get(deployment, table, key) is None:
        raise RuntimeError(f"{table} does not hold what was written")
    return taken


def _rule_of_many() -> list[Figure]:
    """One rule of ten thousand after the other, right after each other: every one counts, for the large part is made anew meanwhile."""
    listed = "\n".join(f"      - deny: {{ip.src: 172.{16 + n // 256 % 16}.{n % 256}.0/24, l4.dport: {1024 + n}}}" for n in range(MANY))
    apply.apply(pipeline.build(chains.load(_RULES.format(name=RULES, rules=listed))), Options())
    gc.collect()
    gc.freeze()  # no agent has what the compiler left here: going through that takes 80 ms
    draw, taken = random.Random(1), []
    for number in range(CHANGES):
        rule = {"match": {"ip.src": [f"10.{number >> 8}.{number & 255}.0/24"], "l4.dport": [str(1 + number)]}, "action": "deny", "class": 0}
        taken.append(_put(RULES, "edge.acl.rules", str(draw.randrange(1, 10 * MANY)), rule))
    return [
        figure(f"live change, a rule of {MANY:,}, {CHANGES:,} in a row", taken, "ms"),
        figure(f"live change, a rule of {MANY:,}, the slowest of {CHANGES:,}", [max(taken)], "ms", 50.0),
    ]


def _memory(netns: str, file: Path, change: Path) -> dict[str, float]:
    """Peak resident MB of the agent's process for several commands, and of a compilation's child."""
    agent = [sys.executable, "-s", "-m", "ebpfnf.agent", "--netns", netns]
    with tempfile.TemporaryDirectory() as name:
        sent, asked = Path(name, "bundle"), Path(name, "asked")
        data = base64.b64encode(bundle.encode(pipeline.build_file(change))).decode()
        sent.write_text(json.dumps({"bundle": data, "discard_entries": True}))
        asked.write_text(json.dumps({"deployment": NAME}))
        build = [sys.executable, "-m", "ebpfnf", "build", str(file), "--out", str(Path(name, "again"))]
        return {
            "agent, apply": _peak([*agent, "apply", str(sent)], {}),
            "agent, status": _peak([*agent, "status", str(asked)], {}),
            "compiler": _peak(build, {"EBPFNF_CACHE": "off"}),
        }


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
