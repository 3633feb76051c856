"""A host for one test: a network namespace with two veth pairs, a bpffs and a run folder of its own, and a chain made by hand."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import threading
import traceback
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ebpfnf import bundle as bundles
from ebpfnf.agent import commands, netlink
from ebpfnf.agent.__main__ import describe
from ebpfnf.agent.denial import refused
from ebpfnf.errors import EbpfnfError, HostUnreachable
from ebpfnf.fleet.host import error_of
from ebpfnf.kernel import insn, links, pins, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.pins import Pins
from ebpfnf.kernel.syscall import cpu_slots
from ebpfnf.model import Bundle, ConstLayout, Counter, MapSpec, Port, Program, Scope, SlotLayout, Table

SLOT = SlotLayout(size=64, exit=0, clock=24, counts=32)
WAN, LAN = Port("wan", 1, "wan0"), Port("lan", 2, "lan0")
FRAME = bytes(12) + b"\x08\x00" + bytes(46)


def chain(
    deployment: str, answer: int, *ports: Port, entries: tuple[tuple[str, int], ...] = (), layout: int = 1, bad: bool = False
) -> Bundle:
    """Two segments: the entry counts in its slot and in kept state, the second answers. `bad`: the verifier won't have it."""
    return bundles.sealed(
        Bundle(
            deployment=deployment,
            ports=ports or (WAN, LAN),
            programs=(_entry(), Program("seg_1", (insn.raw(0xBF, 0, 9) if bad else b"") + insn.leave(answer), ())),
            maps=(
                MapSpec("meta", "array", 4, SLOT.size, 1, per_cpu_slots=True),
                MapSpec("const", "array", 4, 144, 1, frozen=bytes(144)),
                MapSpec("ingress", "array", 4, insn.INGRESS_SLOT, 1, Scope.DEPLOYMENT, per_cpu_slots=True),
                MapSpec("chain", "prog_array", 4, 4, 2),
                MapSpec("ports", "devmap", 4, 8, 16),
                MapSpec("seen", "array", 4, 8, 1, Scope.STATE, pin=f"one-acl-seen-v{layout}"),
                MapSpec("t0", "hash", 16, 4, 64, pin="one-acl-hosts"),
            ),
            tables=(Table("one.acl.hosts", "t0", "exact", "ip", "u32", 64, "operator", "host", "", False, entries=entries),),
            counters=(Counter(0, "in.entered", "entered", chain="in"), Counter(1, "chain.in.missed", "fault", chain="in")),
            slot=SLOT,
            const=ConstLayout(size=144, cpu_mask=0, flags=4, tick_ns=8, ports=16),
            stages=({"id": "one.acl", "mnf": "acl", "instance": "one", "node": "acl", "config": {}},),
            positions=({"index": 0, "chain": "in", "stage": "one.acl", "segment": 1},),
            links=({"source": 0, "outcome": "NEXT", "target": -1, "default": False},),
            chains=({"name": "in", "on": "wan", "direction": "forward", "path": ["one"], "then": "pass", "entry": 0},),
        )
    )


def _entry() -> Program:
    slot = insn.alu_reg("mov", 6, 1) + insn.cpu_slot(7, 1, SLOT.size, cpu_slots() - 1)
    count, missed = (
        b"".join((insn.load(8, 1, 7, at), insn.alu("add", 1, 1), insn.store(8, 7, at, 1))) for at in (SLOT.counts, SLOT.counts + 8)
    )
    state = insn.load_value(2, 2) + insn.load(8, 1, 2) + insn.alu("add", 1, 1) + insn.store(8, 2, 0, 1)
    call = insn.alu_reg("mov", 1, 6) + insn.load_map(2, 3) + insn.alu("mov", 3, 1) + insn.call(insn.TAIL_CALL)
    at = len(slot + count) // 8
    relocations = ((4, "meta"), (at, "seen"), (at + len(state) // 8 + 1, "chain"))
    return Program("seg_0", slot + count + state + call + missed + insn.leave(insn.XDP_ABORTED), relocations)


class Bench:
    """Runs the agent's commands in children of this process: quick, and one that is killed takes nothing with it."""

    def __init__(self, folder: Path, netns: str) -> None:
        self.netns = netns
        self.name = f"t-{uuid.uuid4().hex[:8]}"
        self.environment = {"EBPFNF_BPFFS": str(folder / "bpf"), "EBPFNF_RUN": str(folder / "run")}
        self.run_folder = folder / "run"
        self.sent = 0  # frames that entered a chain

    @classmethod
    def beside(cls, other: Bench) -> Bench:
        """Another deployment on the same host."""
        return cls(other.run_folder.parent, other.netns)

    def attach_foreign(self, interface: str, name: str) -> None:
        """Somebody else's program on an interface, as long as its link is pinned."""
        child = os.fork()
        if child == 0:
            try:
                netlink.enter(self.netns)
                program = programs.load(insn.leave(insn.XDP_PASS), name)
                link = links.create_xdp(program, netlink.interfaces()[interface].ifindex)
                pins.pin(link, f"{self.environment['EBPFNF_BPFFS']}/foreign")
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    def chain(self, answer: int, *ports: Port, **options: Any) -> Bundle:
        return chain(self.name, answer, *ports, **options)

    def apply(self, bundle: Bundle, *, kill: str = "", fail: str = "", **options: Any) -> dict[str, Any]:
        """What `apply` gives; errors as they were there, HostUnreachable where it was killed."""
        payload = {"bundle": base64.b64encode(bundles.encode(bundle)).decode(), **options}
        return self.run("apply", payload, kill=kill, fail=fail)

    def run(self, command: str, payload: Mapping[str, Any] | None = None, *, kill: str = "", fail: str = "", uid: int = 0) -> Any:
        payload = {"deployment": self.name, **(payload or {})}
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            _child(self, writer, command, payload, {"EBPFNF_FAILPOINT": kill, "EBPFNF_FAILPOINT_ERROR": fail}, uid)
        os.close(writer)
        with os.fdopen(reader, "rb") as lines:
            data = lines.read()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            raise HostUnreachable(f"killed by signal {os.WTERMSIG(status)}")
        told = json.loads(data)
        if "crash" in told:
            raise RuntimeError(told["crash"])
        if "error" in told:
            raise error_of(told)
        return told["result"]

    def status(self) -> dict[str, Any]:
        return self.run("status")

    @contextlib.contextmanager
    def here(self) -> Iterator[Pins]:
        """This process sees the bench's pins: by its environment, so no two threads at a time."""
        assert threading.current_thread() is threading.main_thread()
        before = os.environ.get("EBPFNF_BPFFS")
        os.environ["EBPFNF_BPFFS"] = self.environment["EBPFNF_BPFFS"]
        try:
            yield Pins(self.name)
        finally:
            os.environ.pop("EBPFNF_BPFFS") if before is None else os.environ.__setitem__("EBPFNF_BPFFS", before)

    def answer(self, port: str = "wan", count: int = 1) -> int | None:
        """What the data plane says to a frame on a port; None where no link is."""
        with self.here() as at:
            fd = pins.find(at.link(port))
            if fd is None:
                return None
            link = links.info(fd)
            os.close(fd)
            if not link.ifindex:
                return None
            program = programs.open_id(link.prog_id)
            try:
                self.sent += count
                return programs.test_run(program, FRAME, repeat=count).action
            finally:
                os.close(program)

    def snapshot(self) -> dict[str, Any]:
        """Every pin with the id of what is pinned, what root[0] and the links hold, and the files beside."""
        with self.here() as at:
            found: dict[str, Any] = {}
            for folder, _, files in os.walk(at.directory):
                for name in files:
                    found[os.path.relpath(f"{folder}/{name}", at.directory)] = _identity(f"{folder}/{name}")
            if pins.exists(at.root):
                with Map.open(at.root) as root:
                    found["root[0]"] = root.lookup(bytes(4))
        return found | {"files": sorted(os.listdir(self.run_folder)) if self.run_folder.exists() else []}

    def tidy(self) -> None:
        """What must hold after every finished change: nothing half-made, nothing that no kept generation uses."""
        seen = self.run("observe")
        assert seen["leftovers"] == [] and seen["journal"] == ""
        kept = [g for g in seen["generations"] if g["manifest"]]
        assert len(kept) == len(seen["generations"]) <= 2
        assert seen["live"] == (kept[-1]["number"] if kept else 0)
        used = {name for g in kept for name in g["manifest"]["state"]} | {"retired"}
        assert set(seen["state"]) <= used, (seen["state"], used)
        status = self.status()
        assert status["warnings"] == [] and status["counters"]["in.entered"] == self.sent


def _identity(path: str) -> Any:
    fd = pins.get(path)
    what = os.readlink(f"/proc/self/fd/{fd}")
    try:
        if "bpf-map" in what:
            with Map(os.dup(fd)) as found:
                return ("map", found.id)
        if "bpf-prog" in what:
            return ("program", programs.info(fd).id)
        link = links.info(fd)
        return ("link", link.id, link.prog_id, link.ifindex)
    finally:
        os.close(fd)


def _child(bench: Bench, writer: int, command: str, payload: Mapping[str, Any], failpoints: Mapping[str, str], uid: int) -> None:
    """Never returns: a forked test must not run on as a second pytest."""
    told: dict[str, Any] = {"crash": "no answer"}
    try:
        os.environ.update({**bench.environment, **{name: value for name, value in failpoints.items() if value}})
        netlink.enter(bench.netns)
        if uid:
            os.setresuid(uid, uid, uid)
        try:
            told = {"result": commands.run(command, payload, lambda step, details: None)}
        except EbpfnfError as error:
            told = describe(error)
        except OSError as error:
            told = describe(refused(error, "", command))
    except BaseException:
        told = {"crash": traceback.format_exc()}
    finally:
        with os.fdopen(writer, "wb") as out:
            out.write(json.dumps(told).encode())
        os._exit(0)


def ip(*words: str) -> None:
    """The ip command; its complaint is the test's."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


@contextlib.contextmanager
def made(folder: Path) -> Iterator[Bench]:
    """A bench, and nothing left of it afterwards."""
    netns = f"ef-{uuid.uuid4().hex[:8]}"
    (folder / "bpf").mkdir()
    ip("netns", "add", netns)
    try:
        subprocess.run(["mount", "-t", "bpf", "bpf", str(folder / "bpf")], check=True)
        try:
            # without IPv6 the interfaces send nothing by themselves: counts are exact
            quiet = [f"net.ipv6.conf.{which}.disable_ipv6=1" for which in ("all", "default")]
            subprocess.run(["ip", "netns", "exec", netns, "sysctl", "-qw", *quiet], check=True)
            for name in ("wan", "lan"):
                ip("-n", netns, "link", "add", f"{name}0", "type", "veth", "peer", "name", f"{name}1")
                for end in ("0", "1"):
                    ip("-n", netns, "link", "set", f"{name}{end}", "up")
            yield Bench(folder, netns)
        finally:
            subprocess.run(["umount", str(folder / "bpf")], check=True)
    finally:
        ip("netns", "del", netns)
