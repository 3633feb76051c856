"""The data-centre edge, from an empty machine to swaps under load and the whole chain with VMs: `./demo`. What it says was checked.

It drives the product as a user does, by its commands; only the traffic is its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ebpfnf.errors import EbpfnfError
from ebpfnf.lab.frames import PUSH, SYN, send, tcp_frame
from ebpfnf.lab.http import Answers, fetch
from ebpfnf.lab.lab import Lab, labs
from ebpfnf.lab.screen import Screen
from ebpfnf.lab.topology import DENIED_V4, DENIED_V6, LINE
from ebpfnf.lab.traffic import Load, Result
from ebpfnf.lab.whole import Whole, impossible, machines_left

EXAMPLES = Path(__file__).parents[2] / "examples"
EDGE, SWAP = EXAMPLES / "dc-edge" / "chain.yaml", EXAMPLES / "hot-swap" / "chain.yaml"
SERVICE = {"IPv4": "198.51.100.7", "IPv6": "2001:db8::7"}
DENIED = {"IPv4": DENIED_V4, "IPv6": DENIED_V6}
DENIED_MAC, CLIENT_MAC, PORT_MAC = "02:00:00:00:00:bd", "02:00:00:00:09:01", "02:00:00:00:02:01"
EBPFNF = Path(sys.executable).with_name("ebpfnf")
INJECTION = "/item?id=1%27%20OR%201%3D1--"
REQUESTS = 300
NAMES = ("dc-edge", "branch", "hot-swap")  # of the deployments


class Stopped(Exception):
    """A command failed: nothing behind it can be shown."""


class Demo:
    """One run. `edge` is the lab of the data centre, `line` that of the load."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.edge = Lab("demo")
        self.line = Lab("demo-swap", LINE)
        self.whole = Whole(screen, self.edge, self._on_the_edge)

    def _on_the_edge(self, host: str, *words: str, shown: bool = True) -> str:
        return self.ebpfnf(self.edge, *words, shown=shown, host=host)

    def ebpfnf(self, lab: Lab, *words: str, shown: bool = True, host: str = "dut") -> str:
        """Runs the command on a host of the lab, the machine under test; its output. Stopped when it fails."""
        words = ("ebpfnf", "--netns", lab.namespace(host), *words)
        if shown:
            self.screen.command([str(Path(w).relative_to(Path.cwd())) if w.startswith(str(Path.cwd())) else w for w in words])
        environment = {**os.environ, "EBPFNF_COLUMNS": str(self.screen.room)}
        done = subprocess.run([str(EBPFNF), *words[1:]], capture_output=True, text=True, env=environment)
        if done.returncode:
            raise Stopped(f"'{' '.join(words)}' failed with {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def status(self, lab: Lab, deployment: str) -> Mapping[str, Any]:
        """What the product says of a deployment."""
        answer: Mapping[str, Any] = json.loads(self.ebpfnf(lab, "status", deployment, "-o", "json", shown=False))
        return answer

    def run(self) -> None:
        """All steps in order."""
        for step in (self.build, self.plan, self.deploy, self.serve, self.refuse, self.look, self.swap):
            step()
        if why := impossible():
            self.screen.say(f"The rest of the chain is not shown here: {why}.\n")
        else:
            self.whole.run()

    def build(self) -> None:
        with self.screen.step("A client, a machine under test, two web servers behind a switch: network namespaces"):
            self.edge.up()
            hosts = self.edge.status()
            self.screen.table(["host", "addresses"], [[host.name, ", ".join(host.addresses)] for host in hosts])
            self.screen.claim(all(h.up for h in hosts) and sum(h.server > 0 for h in hosts) == 2, "all hosts are up, both servers run")
            answers = self.fetch("IPv4", 1, timeout=0.5)
            self.screen.claim(not answers.by_backend, "nobody answers for 198.51.100.7 yet", answers)

    def plan(self) -> None:
        with self.screen.step("What a deploy would do"):
            self.screen.output(self.ebpfnf(self.edge, "plan", str(EDGE)), lines=30)

    def deploy(self) -> None:
        with self.screen.step("Deploy: compiled, through the verifier, live by one flip"):
            result = json.loads(self.ebpfnf(self.edge, "deploy", str(EDGE), "-y", "-o", "json"))
            status = self.status(self.edge, "dc-edge")
            self.screen.claim(result["generation"] == 1 == status["generation"], "generation 1 is live", result)
            attached = [port["name"] for port in status["ports"] if port["attached"]]
            self.screen.claim(attached == ["wan", "lan"], "both ports are attached", status["ports"])
            again = json.loads(self.ebpfnf(self.edge, "deploy", str(EDGE), "-y", "-o", "json"))
            self.screen.claim(again["changed"] is False, "the same again changes nothing", again)

    def serve(self) -> None:
        with self.screen.step("Real web traffic, balanced over both servers"):
            rows = []
            for family in SERVICE:
                began = time.monotonic()
                answers = self.fetch(family, REQUESTS)
                rate = int(REQUESTS / (time.monotonic() - began))
                web1, web2 = (answers.by_backend.get(name, 0) for name in ("web1", "web2"))
                rows.append([family, answers.sent, web1, web2, rate])
                self.screen.claim(answers.ok and web1 > 0 < web2, f"{family}: all {REQUESTS} answers right, from both servers", answers)
            self.screen.table(["", "requests", "web1", "web2", "a second"], rows)

    def refuse(self) -> None:
        with self.screen.step("What must not pass is dropped, counted, and has a reason"):
            before = self.status(self.edge, "dc-edge")["drops"]
            for family, source in DENIED.items():
                answers = self.fetch(family, 2, source=source, timeout=0.7)
                self.screen.claim(answers.failures == {"timed out": 2}, f"{family}: no answer for the denied source {source}", answers)
            frames = [tcp_frame(DENIED_MAC, PORT_MAC, "192.0.2.9", 4000 + i, SERVICE["IPv4"], 80, flags=SYN) for i in range(10)]
            send(self.edge, "client", "eth0", frames)
            for family in SERVICE:
                answers = self.fetch(family, 1, path=INJECTION, timeout=0.7)
                self.screen.claim(answers.failures == {"timed out": 1}, f"{family}: no answer to an SQL injection", answers)
            request = f"GET {INJECTION} HTTP/1.1\r\n\r\n".encode()
            frame = tcp_frame(CLIENT_MAC, PORT_MAC, "192.0.2.9", 5000, SERVICE["IPv4"], 80, flags=PUSH | 0x10, payload=request)
            send(self.edge, "client", "eth0", [frame])
            status = self.status(self.edge, "dc-edge")
            more = {name: count - before[name] for name, count in status["drops"].items() if count > before[name]}
            self.screen.table(["reason", "packets", "why"], [[n, c, status["texts"].get(n, "")] for n, c in more.items()])
            self.screen.claim(more.get("edge.l2_deny") == 10, "exactly the 10 frames from the denied MAC address", more)
            self.screen.claim(more.get("edge.acl_deny", 0) >= 4, "the denied sources' packets, repeats included", more)
            self.screen.claim(more.get("waf.sql_injection", 0) >= 3, "the injections, repeats included", more)
            self.screen.claim(set(more) <= {"edge.l2_deny", "edge.acl_deny", "waf.sql_injection"}, "and nothing else was dropped", more)

    def look(self) -> None:
        with self.screen.step("What runs, and what it did"):
            self.screen.output(self.ebpfnf(self.edge, "status", "dc-edge"), lines=40)
            status = self.status(self.edge, "dc-edge")
            quiet = not status["warnings"] and not status["missed"]
            self.screen.claim(quiet, "no warnings, no packet missed its chain", status["warnings"])
            entered = {chain["name"]: chain["packets"] for chain in status["chains"]}
            words = ", ".join(f"{count:,} {name}" for name, count in entered.items())
            self.screen.claim(all(entered.values()), f"packets entered: {words}")

    def swap(self) -> None:
        with self.screen.step("Swaps under load: five stages each leave a mark in every packet"):
            self.line.up()
            self.ebpfnf(self.line, "deploy", str(SWAP), "-y")
            first, one_newer, second = b"\1\1\1\1\1", b"\1\1\x11\1\1", b"\2\2\2\2\2"
            with Load(self.line, [first, one_newer, second]) as load, tempfile.TemporaryDirectory() as folder:
                changed = Path(shutil.copytree(SWAP.parent, Path(folder, "hot-swap")), "chain.yaml")
                changed.write_text(changed.read_text().replace("mark: 1", "mark: 2"))
                done, results = threading.Event(), list[Result]()
                traffic = threading.Thread(target=lambda: results.append(load.run(1_000_000, done)))
                traffic.start()
                try:
                    self.ebpfnf(self.line, "swap", str(SWAP), "path.third", "--with", str(SWAP.parent / "next" / "stamp"), "-y")
                    self.ebpfnf(self.line, "deploy", str(changed), "-y")
                    self.ebpfnf(self.line, "rollback", "hot-swap", "-y")
                finally:
                    done.set()
                    traffic.join()
            (result,) = results
            names = {first: "as deployed", one_newer: "third stage swapped, and again after the rollback", second: "all stages changed"}
            rows = [[marks.hex(" "), count, names[marks]] for marks, count in result.by_pattern.items()]
            self.screen.table(["marks", "packets", ""], rows)
            self.screen.claim(all(result.by_pattern.values()), "each generation handled some", dict(result.by_pattern))
            self.screen.claim(result.lost == 0 and result.intact, f"0 of {result.sent:,} packets lost, {result.pps:,} a second", result)
            self.screen.claim(result.mixed == 0, "0 packets saw two generations", result)
            generation = self.status(self.line, "hot-swap")["generation"]
            self.screen.claim(isinstance(generation, int), f"generation {generation} is live after the rollback", generation)

    def undeploy(self) -> None:
        """Takes all away again, and looks whether it is gone."""
        with self.screen.step("Undeploy"):
            self.ebpfnf(self.line, "undeploy", "hot-swap", "-y")
            homes = self.whole.homes()
            if "branch" in self.deployments():
                self.whole.undeploy()
            self.ebpfnf(self.edge, "undeploy", "dc-edge", "-y")
            answers = self.fetch("IPv6", 1, timeout=0.5)
            self.screen.claim(bool(answers.failures), "nobody answers for 2001:db8::7 any more", answers)
            self.screen.claim(not machines_left(homes), "no VM is left", machines_left(homes))
            self.clear()
            left = {*labs(), *self.deployments()} & {"demo", "demo-swap", *NAMES}
            self.screen.claim(not left, "no namespace, process or pin is left", left)

    def fetch(self, family: str, requests: int, **options: Any) -> Answers:
        return fetch(self.edge, SERVICE[family], requests, **options)

    def clear(self) -> None:
        """Removes what this or an earlier run left, however it ended."""
        for lab, deployment, host in ((self.edge, "branch", "branch"), (self.edge, "dc-edge", "dut"), (self.line, "hot-swap", "dut")):
            if lab.name in labs():
                with contextlib.suppress(Stopped, OSError):
                    self.ebpfnf(lab, "undeploy", deployment, "-y", shown=False, host=host)
        for lab in (self.edge, self.line):
            if lab.name in labs():
                lab.down()

    def deployments(self) -> list[str]:
        """All that are pinned on this machine."""
        done = subprocess.run([str(EBPFNF), "status", "-o", "json"], capture_output=True, text=True)
        if done.returncode:
            raise Stopped(f"'ebpfnf status' failed: {done.stderr.strip()}")
        return [status["deployment"] for status in json.loads(done.stdout)]

    def prepare(self) -> None:
        """Clears up after an earlier run; what others deployed under our names stays, and stops us."""
        self.clear()
        for name in self.deployments():
            if name in NAMES:
                raise Stopped(f"a deployment '{name}' is on this machine already: ebpfnf undeploy {name} -y, then again")

    def next_steps(self) -> None:
        """After --keep."""
        dut, binary = self.edge.namespace("dut"), EBPFNF
        self.screen.say(f"""
Everything is up. Try next:
  {binary} --netns {dut} status dc-edge
  {binary} --netns {dut} table dump dc-edge lb.nat.sessions
  {binary} lab exec client -- python3 -c "import urllib.request as u; print(u.urlopen('http://198.51.100.7/').read())"
  edit examples/dc-edge/whole.yaml, then: {binary} --netns {dut} plan examples/dc-edge/whole.yaml
To remove it: ./demo without --keep ends by clearing up.""")


def main() -> int:
    """0 when all that was claimed held, 1 when not, 130 when interrupted, else the error's code."""
    parser = argparse.ArgumentParser(prog="./demo", description="The data-centre chain, shown and checked from deploy to undeploy.")
    parser.add_argument("--keep", action="store_true", help="leave all of it up at the end")
    keep = parser.parse_args().keep
    screen = Screen()
    demo = Demo(screen)
    screen.title("ebpfnf: a data-centre edge of small functions, in the kernel's fastest path")
    began, code, leave = time.monotonic(), 0, False
    try:
        demo.prepare()
        demo.run()
        if keep:
            leave = True
            demo.next_steps()
        else:
            demo.undeploy()
    except Stopped as stopped:
        screen.claim(False, str(stopped))
    except EbpfnfError as error:
        screen.claim(False, str(error))
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    finally:
        if not leave:
            demo.clear()
    if screen.failed:
        screen.say(f"\n{len(screen.failed)} claims did not hold")
        return code or 1
    screen.say(f"\nAll that was claimed held. {time.monotonic() - began:.0f} s" if not code else "")
    return code


if __name__ == "__main__":
    sys.exit(main())
