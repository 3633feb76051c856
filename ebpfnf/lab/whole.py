"""The second half of the demo: a branch office behind a pair of WAN optimizers, and a firewall that reads streams, in VMs."""

from __future__ import annotations

import json
import os
import platform
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ebpfnf.lab import namespaces
from ebpfnf.lab.http import Answers, fetch
from ebpfnf.lab.lab import Lab
from ebpfnf.lab.screen import Screen
from ebpfnf.vm import domain

FOLDER = Path(__file__).parents[2] / "examples" / "dc-edge"
WHOLE, BRANCH = FOLDER / "whole.yaml", FOLDER / "branch.yaml"
SERVICE = {"IPv4": "198.51.100.7", "IPv6": "2001:db8::7"}
REQUESTS = 400  # of each kind of page and of each family in turn
SAVED = {"html": 30, "json": 30, "log": 30, "txt": 10, "jpg": 0}  # percent of the bytes that come back, at least
# As browsers send it: too long for one segment, so that the firewall in XDP can't know the whole of it.
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Cookie: " + "; ".join(f"preference-{i}=value-{i * i}" for i in range(60)) + "\r\n"
)
ATTACK = (b"GET /item?id=1%27%20un", b"ion%20select%20null,null-- HTTP/1.1\r\nHost: shop\r\n\r\n")
_IPCOMP = 108


def impossible() -> str:
    """Why this machine can't show it, or nothing."""
    return "" if platform.machine() == "x86_64" else f"the images of VMs are for x86_64, this machine is {platform.machine()}"


class Whole:
    """Steps of the demo. `ebpfnf(host, words)` runs the command on a host of the lab."""

    def __init__(self, screen: Screen, lab: Lab, ebpfnf: Callable[..., str]) -> None:
        self.screen, self.lab, self._ebpfnf = screen, lab, ebpfnf

    def run(self) -> None:
        """All steps in order."""
        for step in (self.deploy, self.serve, self.refuse, self.look):
            step()

    def deploy(self) -> None:
        with self.screen.step("The whole chain as a live change: VMs boot and become ready, then one flip"):
            done, answers = threading.Event(), list[Answers]()

            def ask() -> None:
                while not done.wait(0.05):
                    answers.append(fetch(self.lab, SERVICE["IPv4"], 10, concurrency=2))

            traffic = threading.Thread(target=ask)
            traffic.start()
            try:
                result = json.loads(self._ebpfnf("dut", "deploy", str(WHOLE), "-y", "-o", "json"))
            finally:
                done.set()
                traffic.join()
            total = sum(answers, Answers(0, {}, {}))
            self.screen.claim(total.ok and total.sent > 0, f"{total.sent:,} requests meanwhile, 0 failed", total)
            self.screen.claim(result["changed"] and result["generation"] == 2, "generation 2 is live", result)
            for notice in result.get("warnings", ()):
                self.screen.say(f"     {notice}")
            self._ebpfnf("branch", "deploy", str(BRANCH), "-y")
            self._machines()

    def _machines(self) -> None:
        found = [(host, vm) for host, name in (("dut", "dc-edge"), ("branch", "branch")) for vm in self._status(host, name)["vms"]]
        rows = [[host, vm["stage"], vm["state"], vm["role"], vm["accelerator"], vm["on_failure"]] for host, vm in found]
        self.screen.table(["host", "stage", "state", "role", "by", "if it fails"], rows)
        serving = [vm for _, vm in found if vm["state"] == "running" and vm["role"] == "serves"]
        self.screen.claim(len(serving) == len(found) == 5, "5 VMs run and serve", found)

    def serve(self) -> None:
        with self.screen.step("A branch office reads pages: compressed on its line, its requests read as streams by the firewall"):
            rows, total = [], Answers(0, {}, {})
            before = self._entered("waf.stream")
            for kind, least in SAVED.items():
                at = self._bytes()
                for family in SERVICE:
                    total += fetch(self.lab, SERVICE[family], REQUESTS // 2, host="office", path=f"/pages/{{n}}.{kind}", headers=BROWSER)
                asked, answered, up, down = (after - b for after, b in zip(self._bytes(), at, strict=True))
                rows.append([kind, REQUESTS, asked, up, answered, down, f"{100 - 100 * down // answered} %"])
                enough = down <= answered * (100.1 - least) / 100  # some packets are still under way
                self.screen.claim(enough, f"{kind}: at least {least} % saved of what comes back", rows[-1])
            self.screen.table(["page", "requests", "asked", "on the line", "answered", "on the line", "saved"], rows)
            self.screen.claim(total.ok and total.sent >= 2000, f"{total.sent:,} requests, 0 failed, every page byte for byte", total)
            read = self._counter("tcp_reasm.requests")
            self.screen.claim(read >= total.sent, f"the stream's VM read {read:,} requests, each from several segments", read)
            self.screen.claim(self._entered("waf.stream") > before + total.sent, "and had their packets, both ways")
            self._alone()

    def _alone(self) -> None:
        """Whoever is no peer of the optimizer gets packets as they are."""
        with self.lab.enter("client"), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as wire:
            wire.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
            wire.setblocking(False)
            wire.bind(("eth0", 0x0800))
            answers = fetch(self.lab, SERVICE["IPv4"], 100, path="/pages/{n}.html")
            protocols = []
            while True:
                try:
                    protocols.append(wire.recv(64)[23])
                except BlockingIOError:
                    break
        plain = answers.ok and len(protocols) > 500 and _IPCOMP not in protocols
        self.screen.claim(plain, "a client that is no peer sees no compressed packet", (answers, len(protocols)))

    def refuse(self) -> None:
        with self.screen.step("An SQL injection in two segments: neither shows it, the stream does"):
            before = self._counter("sqli_stream.sql_injection")
            for host, family in (("client", "IPv4"), ("office", "IPv6")):
                self.screen.claim(not self._answered(host, SERVICE[family]), f"no answer to the {host}'s, by {family}")
            counted = self._counter("sqli_stream.sql_injection") - before
            self.screen.claim(counted == 2, "the VM counted 2 as sql_injection", counted)
            answers = fetch(self.lab, SERVICE["IPv4"], 20, host="office", headers=BROWSER)
            self.screen.claim(answers.ok, "who asks for something else is answered", answers)

    def _answered(self, host: str, address: str) -> bool:
        with self.lab.enter(host), socket.create_connection((address, 80), timeout=2) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for part in ATTACK:
                connection.sendall(part)
            connection.settimeout(1.0)
            try:
                return bool(connection.recv(1))
            except OSError:
                return False

    def look(self) -> None:
        with self.screen.step("What runs now"):
            self.screen.output(self._ebpfnf("dut", "status", "dc-edge"), lines=60)
            status = self._status("dut", "dc-edge")
            quiet = not status["warnings"] and not status["missed"]
            self.screen.claim(quiet, "no warnings, no packet missed its chain", status["warnings"])

    def undeploy(self) -> None:
        """The branch's; the edge's own goes with the demo's."""
        self._ebpfnf("branch", "undeploy", "branch", "-y")

    def homes(self) -> list[Path]:
        """Where the lab's hosts keep what their VMs boot."""
        found = []
        for host in ("dut", "branch"):
            if self.lab.namespace(host) in namespaces.names():
                with self.lab.enter(host):
                    found.append(domain.home())
        return found

    def _status(self, host: str, deployment: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = json.loads(self._ebpfnf(host, "status", deployment, "-o", "json", shown=False))
        return answer

    def _entered(self, stage: str) -> int:
        return int(next(s["in"] for s in self._status("dut", "dc-edge")["stages"] if s["id"] == stage))

    def _counter(self, name: str) -> int:
        """What the edge's guests counted by that name."""
        return sum(vm["counters"].get(name, 0) for vm in self._status("dut", "dc-edge")["vms"])

    def _bytes(self) -> list[int]:
        """Received so far: from the office, by the office; and of these two directions on the line."""
        return [self._received(*end) for end in (("branch", "eth0"), ("office", "eth0"), ("dut", "eth2"), ("branch", "eth1"))]

    def _received(self, host: str, interface: str) -> int:
        with self.lab.enter(host):
            lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
        return int(next(line for line in lines if line.strip().startswith(interface + ":")).split()[1])


def machines_left(homes: list[Path]) -> list[str]:
    """Emulators that still run for these places."""
    left = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"qemu" in os.path.basename(words[0]) and any(os.fsencode(home) in word for home in homes for word in words):
            left.append(process.parent.name)
    return left
