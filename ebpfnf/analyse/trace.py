"""Which way a packet takes: through the deployment's real programs on a private copy, then told stage by stage from what was counted."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ebpfnf import packets, pipeline
from ebpfnf.agent.private import Outcome, PrivateCopy
from ebpfnf.analyse.expect import told
from ebpfnf.lab.testbed import surroundings
from ebpfnf.model import Bundle, Deployment

_STEP = 10**6  # ns between two packets
_VLANS, _IPV4, _IPV6 = (0x8100, 0x88A8), 0x0800, 0x86DD
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}


@dataclass(frozen=True, slots=True)
class Step:
    """A stage that the packet entered, and how it left it."""

    chain: str
    stage: str
    mnf: str
    way: str  # NEXT, an outcome, or DROP PASS TX REDIRECT where it ended here


@dataclass(frozen=True, slots=True)
class Way:
    """All that became of a packet."""

    packet: str
    chains: tuple[str, ...]  # that took it; several where a function was passed by
    steps: tuple[Step, ...]
    outcome: str  # `DROP edge.acl_deny`, `REDIRECT lan`
    reason: str  # the counter that it ended on
    because: str  # that counter in words
    frame: bytes  # as it goes on; empty for a drop
    changed: bool


def trace(deployment: Deployment, port: str, texts: Sequence[str], granularity: str = "") -> Iterator[Way]:
    """Packets by their text, received by `port` one after the other: what one leaves in a table the next one finds. Needs root."""
    frames = [packets.build(text) for text in texts]
    bundle = pipeline.build(deployment, granularity)
    with surroundings(deployment.ports, deployment.testbed) as ports, PrivateCopy(bundle, ports) as copy:
        for number, (text, frame) in enumerate(zip(texts, frames, strict=True), 1):
            before = copy.counted()
            outcome = copy.run(frame, port, number * _STEP)
            counted = {index for index, (old, new) in enumerate(zip(before, copy.counted(), strict=True)) if new > old}
            yield _way(bundle, text, frame, outcome, counted)


def _way(bundle: Bundle, text: str, frame: bytes, outcome: Outcome, counted: set[int]) -> Way:
    said = told(outcome)
    left = b"" if said.startswith("DROP") else outcome.data
    chains = tuple(c.chain for c in bundle.counters if c.index in counted and c.kind == "entered")
    steps = tuple(step for chain in chains for step in _steps(bundle, chain, outcome, counted))
    return Way(text, chains, steps, said, outcome.counter.name, outcome.counter.text, left, bool(left) and left != frame)


def _steps(bundle: Bundle, chain: str, outcome: Outcome, counted: set[int]) -> Iterator[Step]:
    """From the chain's entry along what was counted: an outcome, or the packet's end; what is not counted left by NEXT."""
    stages = {position["index"]: str(position["stage"]) for position in bundle.positions}
    mnfs = {stage["id"]: str(stage["mnf"]) for stage in bundle.stages}
    links = {(link["source"], link["outcome"]): int(link["target"]) for link in bundle.links}
    outcomes = {c.position: c.name.rsplit(".", 1)[-1] for c in bundle.counters if c.index in counted and c.kind == "outcome"}
    if f"chain.{chain}.fragment" == outcome.counter.name:  # before the first stage
        return
    at = int(next(each["entry"] for each in bundle.chains if each["name"] == chain))
    while at in stages:
        ended = outcome.counter.position == at and outcome.counter.kind in ("drop", "pass", "tx", "redirect", "fault")
        way = told(outcome).partition(" ")[0] if ended else outcomes.get(at, "NEXT")
        yield Step(chain, stages[at], mnfs[stages[at]], way)
        if ended:
            return
        at = links.get((at, way), -1)


def shown(frame: bytes) -> str:
    """A frame's addresses in the words of packet text; a part of it where it is none of those."""
    words = [f"eth {frame[6:12].hex(':')} > {frame[:6].hex(':')}"]
    at, (kind,) = 14, struct.unpack_from("!H", frame, 12)
    while kind in _VLANS and len(frame) >= at + 4:
        tag, kind = struct.unpack_from("!HH", frame, at)
        words.append(f"vlan {tag & 0xFFF}")
        at += 4
    if kind == _IPV4 and len(frame) >= at + 20:
        ttl, protocol, ends = frame[at + 8], frame[at + 9], (frame[at + 12 : at + 16], frame[at + 16 : at + 20])
        first, at = struct.unpack_from("!H", frame, at + 6)[0] & 0x1FFF == 0, at + 4 * (frame[at] & 15)
    elif kind == _IPV6 and len(frame) >= at + 40:
        ttl, protocol, ends = frame[at + 7], frame[at + 6], (frame[at + 8 : at + 24], frame[at + 24 : at + 40])
        first, at = True, at + 40
    else:
        return " ".join(words)
    source, destination = (str(ipaddress.ip_address(end)) for end in ends)
    if protocol in (6, 17) and first and len(frame) >= at + 4:
        ports = struct.unpack_from("!HH", frame, at)
        source, destination = (f"[{a}]:{p}" if ":" in a else f"{a}:{p}" for a, p in zip((source, destination), ports, strict=True))
    return " ".join([_PROTOCOLS.get(protocol, f"protocol {protocol}"), source, ">", destination, f"ttl {ttl}", *words])
