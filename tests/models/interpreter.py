"""The meaning of a deployment: frame after frame through chains, VNFs and mNFs, as docs/reference/semantics.md says.

Nothing is shared, moved or fused here: what the generator makes must do the same, to the last byte and counter.
"""

from __future__ import annotations

import importlib
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ebpfnf.model import Chain, ChainPath, Deployment, Instance, Mnf, Port, Reference, TrafficClass, Vnf, VnfNode, VnfUse, When
from tests.models import tables
from tests.models.base import Model, Verdict
from tests.models.classify import rule_fits, takes
from tests.models.packet import FIB_KERNEL, Hop, Packet
from tests.models.parse import Parsed, Unparsable, parse

Fib = Callable[[bytes, int], Hop | str]
ROUTE = "route"
_RECEIPT = 14


@dataclass(frozen=True, slots=True)
class Result:
    """How one packet ended: action DROP PASS TX REDIRECT, the counter's name, the output port's number, the bytes, the metadata.

    One that went to a machine says what `resume` needs.
    """

    action: str
    counter: str
    port: int
    data: bytes
    m: Mapping[str, Any]
    away: Away | None = None


@dataclass(frozen=True, slots=True)
class Away:
    """The stage whose machine has a packet, where that stage stands, and what is left of the way from its instance on."""

    stage: str
    now: int
    chain: Chain | None = None
    port: Port | None = None
    steps: Sequence[str | TrafficClass] = ()


@dataclass(slots=True)
class Interpreter:
    """Runs frames through a deployment; keeps the tables of its stages and counts what is counted."""

    deployment: Deployment
    router: Vnf | None = None  # the template behind `then: route`
    fib: Fib = lambda _address, _length: FIB_KERNEL
    mtu: Mapping[int, int] = field(default_factory=dict)  # by port number; a port that isn't named has no limit
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)  # stage -> table name -> table
    config: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: Tally[str] = field(default_factory=Tally)
    down: set[str] = field(default_factory=set)  # stages of which no machine serves
    reasons: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of each stage

    def __post_init__(self) -> None:
        for instance in self._instances().values():
            for stage, node, arguments in _nodes(instance.vnf, instance.arguments, instance.name):
                self.config[stage] = {param.name: arguments.get(param.name, param.default) for param in node.mnf.params}
                self.tables[stage] = tables.make(node.mnf, self.config[stage])
                self.reasons[stage] = tuple(node.mnf.reasons)

    def run(self, frame: bytes, port: str, now: int = 0, m: Mapping[str, Any] | None = None) -> Result:
        """One frame, received on `port` at `now` nanoseconds; `m` is metadata that stands there before the first mNF."""
        result = self._run(frame, next(p for p in self.deployment.ports if p.name == port), now, m or {})
        self.counts[result.counter] += 1
        return result

    def resume(self, sent: Result, frame: bytes) -> Result:
        """A frame that a machine gave back for a packet that was sent to it: the record is as it was, but for what the parser finds.

        One of 14 bytes says that the packet was dropped there, and why.
        """
        away = sent.away
        assert away and away.chain
        instance = away.stage.partition(".")[0]
        if len(frame) == _RECEIPT:
            known = dict(enumerate(self.reasons[away.stage], 1))
            counter = f"{instance}.{known[frame[-1]]}" if frame[-1] in known else f"chain.{away.chain.name}.bad_verdict"
            result = Result("DROP", counter, 0, frame, {})
        else:
            result = self._come_back(away, sent.m, frame)
        self.counts[result.counter] += 1
        return result

    def _come_back(self, away: Away, m: Mapping[str, Any], frame: bytes) -> Result:
        assert away.chain and away.port
        instance, *node = away.stage.split(".")
        try:
            parsed = parse(frame)
        except Unparsable:
            return Result("DROP", f"{instance}.vm_malformed", 0, frame, {})
        self.counts[f"{instance}.from_vm"] += 1
        packet = Packet(bytearray(frame), parsed, away.now, self.fib)
        return self._along(away.steps, away.chain, away.port, packet, _Zeroes({**m, **_found(parsed)}), tuple(node))

    def _run(self, frame: bytes, port: Port, now: int, preset: Mapping[str, Any]) -> Result:
        try:
            parsed = parse(frame)
        except Unparsable as reason:
            if reason.args[0] == "malformed" and port.otherwise.startswith("out:"):
                unread = Packet(bytearray(frame), Parsed(len(frame)))
                return self._leave_by(unread, {}, self._number(port.otherwise[4:]), _port(port, "otherwise"))
            return Result("DROP", _port(port, reason.args[0]), 0, frame, {})
        packet = Packet(bytearray(frame), parsed, now, self.fib)
        m = _metadata(parsed, port)
        for number, chain in enumerate(self.deployment.chains, 1):
            if chain.on == port.name and takes(chain, packet):
                self.counts[f"chain.{chain.name}.entered"] += 1
                m.update(chain=number, dir=int(chain.direction == "reverse"))
                m.update(preset)
                return self._chain(chain, port, packet, m)
        counter = _port(port, "otherwise")
        if port.otherwise.startswith("out:"):
            return self._leave_by(packet, m, self._number(port.otherwise[4:]), counter)
        return Result(port.otherwise.upper(), counter, 0, frame, m)

    def _chain(self, chain: Chain, port: Port, packet: Packet, m: dict[str, Any]) -> Result:
        path = (*chain.path, *([ROUTE] if chain.then == ROUTE else []))
        every = [self._instances()[name] for name in _everywhere(path)]
        mnfs = (mnf for i in every for mnf in _reached(i.vnf, i.arguments, chain.direction))
        if packet.parsed.frag and any(_reads_l4(mnf, chain.direction) for mnf in mnfs):
            return Result(port.fragments.upper(), f"chain.{chain.name}.fragment", 0, bytes(packet.data), m)
        m["parts"] = 0
        return self._along(list(_way(path, packet, m)), chain, port, packet, m)  # by the headers as received

    def _along(
        self, steps: Sequence[str | TrafficClass], chain: Chain, port: Port, packet: Packet, m: dict[str, Any], behind: tuple[str, ...] = ()
    ) -> Result:
        """The rest of a way, from its beginning or from behind a node of the first instance."""
        for k, step in enumerate(steps):
            if isinstance(step, TrafficClass):
                self.counts[f"chain.{chain.name}.{step.name}"] += 1
                continue
            instance = self._instances()[step]
            ended = self._vnf(instance.vnf, instance.arguments, instance.name, chain, packet, m, behind)
            behind = ()
            if ended and ended.away:
                return replace(ended, away=replace(ended.away, chain=chain, port=port, steps=steps[k:]))
            if ended:
                return ended
        counter = f"chain.{chain.name}.out"
        if chain.then == ROUTE or chain.then.startswith("out:"):
            out = m["fwd_port"] if chain.then == ROUTE else self._number(chain.then[4:])
            return self._leave_by(packet, m, out, counter)
        action = {"pass": "PASS", "drop": "DROP", "reflect": "TX"}[chain.then]
        return _emit(action, counter, m["in_port"] if action == "TX" else 0, packet, m)

    def _vnf(
        self,
        vnf: Vnf,
        arguments: Mapping[str, Any],
        name: str,
        chain: Chain,
        packet: Packet,
        m: dict[str, Any],
        behind: tuple[str, ...] = (),
    ) -> Result | None:
        """Through one template, from its entry or from behind a node; None when the packet leaves it by `exit`."""
        nodes = {node.name: node for node in vnf.nodes}
        at, instance = behind[0] if behind else vnf.entry[chain.direction], name.partition(".")[0]
        while at != "exit":
            node, stage = nodes[at], f"{name}.{at}"
            straight = _target(vnf, arguments, at, "NEXT")
            if len(behind) == 1 or not _holds(node.when, arguments):
                at, behind = str(straight), ()
                continue
            if isinstance(node, VnfUse):
                ended = self._vnf(node.vnf, _given(node, arguments), stage, chain, packet, m, behind[1:])
                behind = ()
                if ended:
                    return ended
                at = str(straight)
                continue
            if node.mnf.runs_in != "xdp" and stage in self.down and self.config[stage]["on_failure"] == "bypass":
                self.counts[f"{instance}.vm_down"] += 1
                at = str(straight)
                continue
            if node.mnf.runs_in != "xdp":
                if stage in self.down:
                    return Result("DROP", f"{instance}.vm_down", 0, bytes(packet.data), m)
                return replace(_emit("REDIRECT", f"{instance}.to_vm", 0, packet, dict(m)), away=Away(stage, packet.now))
            verdict = model_of(node.mnf.name).run(packet, self.tables[stage], self.config[stage], m)
            if verdict.kind in ("NEXT", "TO"):
                outcome = verdict.name or "NEXT"
                target = _target(vnf, arguments, at, outcome) or node.mnf.outcomes[outcome]
                if target in ("DROP", "PASS"):
                    return _emit(target, f"{instance}.{outcome}", 0, packet, m)
                if verdict.kind == "TO":
                    self.counts[f"{instance}.{outcome}"] += 1
                at = str(straight) if target == "NEXT" else target
            else:
                return self._end(verdict, stage, instance, chain, packet, m)
        return None

    def _end(self, verdict: Verdict, stage: str, instance: str, chain: Chain, packet: Packet, m: dict[str, Any]) -> Result:
        if verdict.kind == "DROP":
            return Result("DROP", f"{instance}.{verdict.name}", 0, bytes(packet.data), m)
        counter = f"{stage}.{verdict.kind.lower()}"
        if verdict.kind == "REDIRECT":
            return self._leave_by(packet, m, verdict.port, counter, f"chain.{chain.name}")
        return _emit(verdict.kind, counter, m["in_port"] if verdict.kind == "TX" else 0, packet, m)

    def _leave_by(self, packet: Packet, m: dict[str, Any], port: int, counter: str, where: str = "") -> Result:
        where = where or counter.rpartition(".")[0]
        if not 1 <= port <= len(self.deployment.ports):
            return Result("DROP", f"{where}.redirect_failed", port, bytes(packet.data), m)
        if packet.parsed.len - (packet.parsed.l3 or 14) > self.mtu.get(port, 1 << 16):
            return Result("DROP", f"{where}.too_big", port, bytes(packet.data), m)
        return _emit("REDIRECT", counter, port, packet, m)

    def _number(self, name: str) -> int:
        return next(p.number for p in self.deployment.ports if p.name == name)

    def _instances(self) -> dict[str, Instance]:
        built_in = [Instance(ROUTE, self.router, {})] if self.router else []
        return {instance.name: instance for instance in (*self.deployment.instances, *built_in)}


def model_of(mnf: str) -> Model:
    """The model of an mNF, by its name."""
    model: Model = importlib.import_module(f"tests.models.{mnf}").Model()
    return model


def _emit(action: str, counter: str, port: int, packet: Packet, m: dict[str, Any]) -> Result:
    """All but drops emit what was written so far, with checksums completed."""
    data = bytes(packet.data) if action == "DROP" else packet.finish()
    return Result(action, counter, port, data, m)


def _port(port: Port, what: str) -> str:
    return f"port.{port.name}.{what}"


def _metadata(parsed: Parsed, port: Port) -> dict[str, Any]:
    """Core metadata: what the parser writes, and zero for the rest."""
    zero = dict.fromkeys(("chain", "dir", "hash", "class", "http", "backend", "backend_port", "fwd_port"), 0)
    addresses = {"backend_ip": bytes(16), "nh_dst": bytes(6), "nh_src": bytes(6)}
    return _Zeroes(**_found(parsed), **zero, **addresses, in_port=port.number)


def _found(parsed: Parsed) -> dict[str, Any]:
    return {name: getattr(parsed, name) for name in Parsed.__slots__ if name != "proto"}


class _Zeroes(dict[str, Any]):
    """Metadata that nobody wrote is zero: the own fields of mNFs too."""

    def __missing__(self, key: str) -> int:
        return 0


def _given(node: VnfNode | VnfUse, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a node is given: values of the template's own, and those that it hands on."""
    return {name: arguments[value.name] if isinstance(value, Reference) else value for name, value in node.arguments.items()}


def _nodes(vnf: Vnf, arguments: Mapping[str, Any], name: str) -> Iterator[tuple[str, VnfNode, dict[str, Any]]]:
    """Every mNF of an instance by its stage, whether a condition leaves it out or not."""
    for node in vnf.nodes:
        if isinstance(node, VnfUse):
            yield from _nodes(node.vnf, _given(node, arguments), f"{name}.{node.name}")
        else:
            yield f"{name}.{node.name}", node, _given(node, arguments)


def _holds(when: When | None, arguments: Mapping[str, Any]) -> bool:
    if when is None:
        return True
    match when.kind:
        case "is":
            return any(arguments[when.param] == value for value in when.values)
        case "all":
            return all(_holds(part, arguments) for part in when.parts)
        case "any":
            return any(_holds(part, arguments) for part in when.parts)
        case _:
            return not _holds(when.parts[0], arguments)


def _target(vnf: Vnf, arguments: Mapping[str, Any], source: str, outcome: str) -> str | None:
    """Where an outcome leads: by its first link whose condition holds."""
    links = (link for link in vnf.links if (link.source, link.outcome) == (source, outcome) and _holds(link.when, arguments))
    return next((link.target for link in links), None)


def _everywhere(path: ChainPath) -> Iterator[str]:
    """The instances of a path, those of all its classes too."""
    for item in path:
        if isinstance(item, str):
            yield item
        else:
            yield from (name for each in item.classes for name in _everywhere(each.path))


def _way(path: ChainPath, packet: Packet, m: dict[str, Any]) -> Iterator[str | TrafficClass]:
    """What a packet passes: instances, and the classes that it is of, whose numbers stand in m.parts."""
    for item in path:
        if isinstance(item, str):
            yield item
            continue
        for number, each in enumerate(item.classes, 1):
            if rule_fits(each.match, packet):
                m["parts"] |= number << item.shift
                yield each
                yield from _way(each.path, packet, m)
                break


def _reached(vnf: Vnf, arguments: Mapping[str, Any], direction: str) -> Iterator[Mnf]:
    """The mNFs that a packet in this direction can come to."""
    nodes = {node.name: node for node in vnf.nodes}
    seen, todo = set[str](), [vnf.entry[direction]]
    while todo:
        name = todo.pop()
        if name == "exit" or name in seen:
            continue
        seen.add(name)
        node = nodes[name]
        there = _holds(node.when, arguments)
        outcomes = {link.outcome for link in vnf.links if link.source == name and (there or link.outcome == "NEXT")}
        todo += [target for outcome in outcomes if (target := _target(vnf, arguments, name, outcome))]
        if there and isinstance(node, VnfUse):
            yield from _reached(node.vnf, _given(node, arguments), direction)
        elif there and isinstance(node, VnfNode):
            yield node.mnf


def _reads_l4(mnf: Mnf, direction: str) -> bool:
    return any(name.split(".")[0] in ("l4", "tcp", "pl") for name in mnf.reads | mnf.reads_when.get(direction, frozenset()))
