"""End to end over veths: source, device under test and destination on one core, native XDP, live frames, against the kernel's own ways."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from benchmarks import baselines, chains, tc
from benchmarks.frames import Mix
from benchmarks.measure import ROUNDS, Figure, Pace, figure, ratio
from benchmarks.memory import PLAN, SINK, compiled, fill, loaded
from ebpfnf.agent.load import HostFacts, load, relocate
from ebpfnf.kernel import links, maps, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.lab.frames import checksum
from ebpfnf.lab.lab import Lab
from ebpfnf.lab.offload import set_offload
from ebpfnf.lab.topology import LINE

_MARKS = {"plan": 1, "sink": 2, "arm": 3, "ports": 4}
_PACKETS, _WARM, _LOST = 150_000, 10_000, 0.001
_QUIET = 0.2  # seconds without a packet after which no more are waited for
_RULES = 32
_BACKENDS = ", ".join(f"{k} : 10.1.0.{k + 11}" for k in range(16))
_DENIED = ", ".join(f"172.16.{k}.0/24 . {1024 + k}" for k in range(_RULES - 1))
_NFT = f"""
table ip bench {{
  set denied {{ type ipv4_addr . inet_service; flags interval; elements = {{ {_DENIED} }} }}
  set subnets {{ type ipv4_addr; flags interval; counter; elements = {{ 198.51.100.0/24 }} }}
  chain filter {{ type filter hook prerouting priority -300;
    ip saddr . tcp dport @denied drop
    meta length 0-511 counter
    ip daddr @subnets
  }}
  chain nat {{ type nat hook prerouting priority dstnat;
    ip daddr 198.51.100.7 tcp dport 80 dnat to jhash ip saddr . tcp sport mod 16 map {{ {_BACKENDS} }}:8080
  }}
}}
"""


class Wire:
    """A context manager: the lab, its load and its sink; arms are switched by `use`."""

    def __enter__(self) -> Wire:
        with ExitStack() as stack:
            stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            self.lab = stack.enter_context(Lab("bench-wire", LINE))
            for k in range(11, 27):
                self._dut("ip", "neigh", "replace", f"10.1.0.{k}", "lladdr", "02:00:00:01:00:11", "dev", "eth1")
            self._dut("ip", "route", "add", "10.9.0.0/16", "via", "192.0.2.9")
            with self.lab.enter("dut"):
                set_offload("eth0", "gro", True)
                ports = {name: socket.if_nametoindex(name) for name in ("eth0", "eth1")}
            self._plan, self._sink, self._devices = (
                stack.enter_context(Map(maps.create(kind, 4, size, entries, 0, "wire")))
                for kind, size, entries in (("array", PLAN, 1), ("array", SINK, 1), ("devmap", 4, 4))
            )
            fds = {"plan": self._plan.fd, "sink": self._sink.fd, "ports": self._devices.fd}
            self._emit, arrive, redirect = (loaded(stack, p, fds) for p in compiled("rig.c", ("emit", "arrive", "redirect"), _MARKS))
            with self.lab.enter("sink"):
                stack.callback(os.close, links.create_xdp(arrive, socket.if_nametoindex("eth0")))
            self._xdp, self._tc = {"bare redirect": redirect}, dict[str, int]()
            with self.lab.enter("dut"):
                self._devices.update(struct.pack("=I", 2), struct.pack("=I", ports["eth1"]))
                host = HostFacts.measure({"wan": (ports["eth0"], 1500), "lan": (ports["eth1"], 1500)})
                for name, tables in (("ebpfnf, kernel tables", "kernel"), ("ebpfnf, direct tables", "direct")):
                    bundle = chains.build(chains.bench4(rules=_RULES, tables=tables))
                    made = stack.enter_context(load(bundle, host=host))
                    fill(bundle, made, 0)
                    self._xdp[name] = made.programs[0]
                bundle = chains.build(chains.bench4(rules=_RULES))
                made = stack.enter_context(load(bundle, host=host))
                fill(bundle, made, 0)
                (program,) = baselines.compiled("bench4.c", ("bench4",), bundle, f"TC={ports['eth1']}")
                self._tc["tc-bpf"] = tc.load(relocate(program, made.maps))
                stack.callback(os.close, self._tc["tc-bpf"])
            self._attached = stack.enter_context(ExitStack())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def use(self, arm: str) -> None:
        """Nothing else than this handles packets from here on."""
        self._attached.close()
        if arm in self._xdp:
            with self.lab.enter("dut"):
                self._attached.callback(os.close, links.create_xdp(self._xdp[arm], socket.if_nametoindex("eth0")))
        elif arm in self._tc:
            with self.lab.enter("dut"):
                self._attached.callback(os.close, tc.attach(self._tc[arm], socket.if_nametoindex("eth0")))
        elif arm == "nftables":
            self._dut("nft", "-f", "-", text=_NFT)
            self._attached.callback(self._dut, "nft", "flush", "ruleset")
        elif arm == "iptables and ipset":
            self._iptables()

    def _iptables(self) -> None:
        self._dut("ipset", "create", "denied", "hash:net,port")
        self._attached.callback(self._dut, "ipset", "destroy", "denied")
        self._attached.callback(self._dut, "nft", "flush", "ruleset")  # iptables' tables are nftables'
        entries = "".join(f"add denied 172.16.{k}.0/24,tcp:{1024 + k}\n" for k in range(_RULES - 1))
        self._dut("ipset", "restore", text=entries)
        for rule in (
            "-t raw -A PREROUTING -m set --match-set denied src,dst -j DROP",
            "-t mangle -A PREROUTING -m length --length 0:511",
            "-t mangle -A PREROUTING -d 198.51.100.0/24",
            "-t nat -A PREROUTING -d 198.51.100.7 -p tcp --dport 80 -j DNAT --to-destination 10.1.0.11-10.1.0.26:8080",
        ):
            self._dut("iptables-nft", *rule.split())

    def _dut(self, *argv: str, text: str = "") -> None:
        done = self.lab.run_in("dut", argv, input=text, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")

    def frames(self, arm: str, mix: Mix) -> bytes:
        """What arrives of the first packets of a mix: lengths, then the beginnings of frames. RuntimeError where one got lost."""
        self.use(arm.partition(":")[0])
        self.time(mix, 1000, lost=0)
        return self.kept

    def time(self, mix: Mix, packets: int = _PACKETS, lost: float = _LOST) -> float:
        """Ns of CPU time a packet that arrived. RuntimeError where more than this part of them got lost, or one is broken."""
        size = max(mix.sizes())
        self._plan.update(bytes(4), mix.plan())
        self._sink.update(bytes(4), bytes(SINK))
        with self.lab.enter("client"):
            interface = socket.if_nametoindex("eth0")
            programs.send(self._emit, bytes(max(size, 64)), count=_WARM, ifindex=interface)
            self._settled(_WARM)
            self._sink.update(bytes(4), bytes(SINK))
            began = time.thread_time_ns()
            programs.send(self._emit, bytes(max(size, 64)), count=packets, ifindex=interface)
            took = time.thread_time_ns() - began
        seen = self._settled(packets)
        arrived = _count(seen)
        if abs(packets - arrived) > packets * lost:
            raise RuntimeError(f"{packets} packets sent, {arrived} arrived")
        _verify(seen)
        self.kept = seen[16:]
        return took / arrived

    def _settled(self, packets: int) -> bytes:
        """The sink when all have arrived, or nothing more comes: where others keep the CPU busy the last ones are late."""
        seen, since = b"", time.monotonic()
        while time.monotonic() - since < _QUIET:
            before, seen = seen, self._sink.lookup(bytes(4)) or b""
            if _count(seen) >= packets:
                break
            if seen != before:
                since = time.monotonic()
            time.sleep(0.01)
        return seen


def _count(seen: bytes) -> int:
    """Packets that a sink has counted."""
    return int(struct.unpack_from("=Q", seen)[0])


def _verify(seen: bytes) -> None:
    """The first frames that arrived: checksums of IPv4 and, where the whole frame was kept, of TCP."""
    lengths = struct.unpack_from("=64Q", seen, 16)
    for k, length in enumerate(lengths):
        frame = seen[16 + 64 * 8 + 128 * k :][: min(128, length)]
        if frame[12:14] != b"\x08\x00":
            continue
        end = 14 + int.from_bytes(frame[16:18], "big")
        pseudo = frame[26:34] + b"\0\6" + struct.pack("!H", end - 34)
        if checksum(frame[14:34]) or (end <= len(frame) and checksum(pseudo + frame[34:end])):
            raise RuntimeError(f"a frame arrived with a wrong checksum: {frame.hex()}")


def _rounds(arms: dict[str, Mix], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """CPU ns a packet of each arm, there and back."""
    samples: dict[str, list[float]] = {arm: [] for arm in arms}
    with Wire() as wire:
        pace = Pace()
        for number in range(rounds):
            for arm in list(arms) if number % 2 == 0 else list(arms)[::-1]:
                wire.use(arm.partition(":")[0])
                samples[arm].append(pace.steady(partial(wire.time, arms[arm])))
    return samples


def over_redirect() -> list[Figure]:
    """What the whole chain adds to a bare XDP redirect."""
    found: list[Figure] = []
    for words, mix in {"64 bytes": Mix(), "IMIX": Mix(size=0), "1500 bytes": Mix(size=1500)}.items():
        samples = _rounds({arm: mix for arm in ("bare redirect", "bare redirect:again", "ebpfnf, kernel tables", "ebpfnf, direct tables")})
        bare = samples["bare redirect"]
        found += [figure(f"{arm}, {words}", times, "ns") for arm, times in samples.items()]
        for arm, goal in (("bare redirect:again", None), ("ebpfnf, kernel tables", None), ("ebpfnf, direct tables", 35.0)):
            found.append(figure(f"{arm} over redirect, {words}", [a - b for a, b in zip(samples[arm], bare, strict=True)], "ns", goal))
    return found


def _against(peer: str, goal: float, mix: Mix | None = None) -> list[Figure]:
    """The same rules and the same addresses by the kernel's own means; `mix`: what those get, where it is not the same packets."""
    arms = {"bare redirect": Mix(), "ebpfnf, kernel tables": Mix(), "ebpfnf, direct tables": Mix(), peer: mix or Mix()}
    samples = _rounds(arms)
    found = [figure(arm, times, "ns") for arm, times in samples.items()]
    ours, bare = (
        ratio(f"{arm} / {peer}", samples[arm], samples[peer], least)
        for arm, least in (("ebpfnf, direct tables", goal), ("bare redirect", None))
    )
    return [*found, ours, bare]  # nothing can take less than a redirect does


def vs_tc() -> list[Figure]:
    """The same in one function by hand for the kernel's traffic control, on the same kinds of kernel maps."""
    arms = dict.fromkeys(("tc-bpf", "tc-bpf:again", "ebpfnf, kernel tables", "ebpfnf, direct tables"), Mix())
    with Wire() as wire:
        made = {arm: wire.frames(arm, mix) for arm, mix in arms.items()}
    first = made["tc-bpf"]
    for arm, each in made.items():
        if each != first:
            at = next(k for k, (a, b) in enumerate(zip(each, first, strict=True)) if a != b)
            raise AssertionError(f"{arm} makes something else of the packets than tc-bpf: {_told(each, at)} instead of {_told(first, at)}")
    samples = _rounds(arms)
    found = [figure(arm, times, "ns") for arm, times in samples.items()]
    found.append(ratio("A/A: tc-bpf / tc-bpf", samples["tc-bpf:again"], samples["tc-bpf"]))
    found += [
        ratio(f"{arm} / tc-bpf", samples[arm], samples["tc-bpf"], goal)
        for arm, goal in (("ebpfnf, kernel tables", None), ("ebpfnf, direct tables", 1 / 3.5))
    ]
    return found


def _told(kept: bytes, at: int) -> str:
    """The frame whose length or bytes stand there."""
    number = at // 8 if at < 64 * 8 else (at - 64 * 8) // 128
    (length,) = struct.unpack_from("=Q", kept, 8 * number)
    return f"frame {number} of {length} bytes, {kept[64 * 8 + 128 * number :][: min(128, length)].hex()}"


BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    "over-redirect": over_redirect,
    "vs-nftables": partial(_against, "nftables", 1 / 8),
    "vs-iptables-ipset": partial(_against, "iptables and ipset", 1 / 8),
    # what routes only needs the address behind the load balancer
    "vs-routing": partial(_against, "routing", 1 / 3.5, Mix(destination="10.1.0.11", port=8080)),
    "vs-tc": vs_tc,
}
