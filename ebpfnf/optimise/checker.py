"""Replays a certificate before anything is generated from its graph. The optimiser's calculus, told another way; no code is shared.

Whatever an mNF touches is a resource that it reads, writes or adds to: parts of the packet, metadata, tables, and three that stand for
what the world sees. `life`: ending a packet writes it, leaving a trace reads it. `wire`: passing a packet on reads it, writing a byte of
it writes it. `here`: all read it, a machine that packets leave for writes it, and all that the parser finds in what comes back. Two mNFs
commute when no resource that one of them writes or adds to is used by the other, adding beside adding excepted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from ebpfnf.errors import CertificateError
from ebpfnf.model import DROPPED, EXIT, PASSED, Fields, Graph, Link, Mnf, Remembered, Stage
from ebpfnf.optimise.certificate import Certificate, Step
from ebpfnf.optimise.recall import unproved

READ, WRITE, ADD = 1, 2, 4
Uses = Mapping[str, int]
_SAME = {"m.len": "pkt.len", "m.frag": "ip.frag", "m.eth_type": "eth.type", "m.vlan_id": "vlan.id", "m.tcp_flags": "tcp.flags"}
_OFFSETS = ("m.l3", "m.l4", "m.pl", "m.pl_len")


def check(before: Graph, certificate: Certificate, after: Graph, fields: Fields) -> None:
    """Raises CertificateError unless the certificate's steps are legal and lead from one graph to the other."""
    if certificate.before != _print(before):
        raise CertificateError("the certificate is for another graph")
    replay = _Replay(before, fields, {told.chain: told for told in after.remembered})
    for number, step in enumerate(certificate.steps, 1):
        why = replay.step(step)
        if why:
            names = ", ".join(replay.name(index) for index in step.of)
            raise CertificateError(f"step {number} of the certificate, {step.kind} {names}: {why}")
    if certificate.after != _print(after) or replay.shape() != _shape(after):
        raise CertificateError("the certificate's steps lead to another graph than the optimised one")
    aside = {replay.stage_of[index] for run in replay.beside.values() for index in run}
    on_path = {replay.stage_of[index] for index in replay.order if index not in replay.beside}
    if both := sorted(aside & on_path):
        raise CertificateError(f"'{both[0]}' stands beside the path and on it: who reads copies must be alone with its tables")
    missing = sorted((aside | on_path) - {stage.id for stage in after.stages})
    changed = [stage.id for stage in after.stages if stage != replay.stages.get(stage.id)]
    if missing or changed:
        raise CertificateError(f"stage '{[*missing, *changed][0]}' is not what it was")
    if after.meaning != before.meaning:
        raise CertificateError("the optimised graph says that it came from another graph")


class _Replay:
    """A graph that is changed step by step: an order, and jumps."""

    def __init__(self, graph: Graph, fields: Fields, told: Mapping[str, Remembered]) -> None:
        self.fields, self.told, self.remembered = fields, told, list[Remembered]()
        self.stages: dict[str, Stage] = {stage.id: stage for stage in graph.stages}
        self.chains = {chain.name: chain for chain in graph.deployment.chains}
        self.order = [position.index for position in graph.positions]
        self.stage_of = {position.index: position.stage for position in graph.positions}
        self.chain_of = {position.index: position.chain for position in graph.positions}
        self.vnf_of = {position.index: position.vnf_index for position in graph.positions}
        self.jumps = {(link.source, link.outcome): link.target for link in graph.links}
        self.entries = dict(graph.entries)
        self.beside: dict[int, tuple[int, ...]] = {}
        self.found = ("wire", "m.have", *_OFFSETS, *(part for name in fields.header for part in _parts(name)))

    def name(self, index: int) -> str:
        """A position as a person knows it."""
        return f"'{self.stage_of[index]}'" if index in self.stage_of else str(index)

    def mnf(self, index: int) -> Mnf:
        """A position's mNF."""
        return self.stages[self.stage_of[index]].mnf

    def step(self, step: Step) -> str:
        """Does the step; why it is not legal, or an empty string."""
        if len(set(step.of)) != len(step.of) or any(index not in self.order for index in step.of):
            return "it names a position twice, or one that is not there"
        if aside := [index for index in step.of if index in self.beside]:
            return f"{self.name(aside[0])} stands beside the path"
        if step.kind == "remember" and step.of:
            return self._remember(step.of)
        if self.remembered:
            return "what is remembered was found in the graph as it is then"
        if step.kind == "unordered":
            return self._unordered(step.of)
        if step.kind == "merge" and len(step.of) == 2:
            return self._merge(*step.of)
        if step.kind == "swap" and len(step.of) == 2:
            return self._swap(*step.of)
        if step.kind == "drop" and len(step.of) == 1:
            return self._drop(*step.of)
        if step.kind == "beside" and step.of:
            return self._beside(step.of)
        return "there is no such step"

    # ------------------------------------------------------------ steps

    def _swap(self, first: int, second: int) -> str:
        if set(self._onward(first)) != {second} or any(self.jumps[jump] == second for jump in self.jumps if jump[0] != first):
            return f"{self.name(first)} does not lead straight to {self.name(second)}"
        ends = set(self._onward(second))
        if len(ends) != 1 or second in self.entries.values():
            return f"{self.name(second)} has not one way in and one way out"
        if clash := self._clash(first, second):
            return clash
        (end,) = ends
        for jump, target in list(self.jumps.items()):
            if target >= EXIT and jump[0] == first:
                self.jumps[jump] = end
            elif target >= EXIT and jump[0] == second:
                self.jumps[jump] = first
            elif target == first:
                self.jumps[jump] = second
        self.entries = {chain: second if entry == first else entry for chain, entry in self.entries.items()}
        self.order.remove(second)
        self.order.insert(self.order.index(first), second)
        return ""

    def _merge(self, second: int, first: int) -> str:
        one, other = self.stages[self.stage_of[first]], self.stages[self.stage_of[second]]
        if self.chain_of[first] != self.chain_of[second] or one.mnf != other.mnf or dict(one.config) != dict(other.config):
            return "they are not the same mNF with the same parameters in one chain"
        if other.mnf.runs_in != "xdp":
            return "each has machines of its own"
        if other.mnf.tables:
            return f"table '{other.mnf.tables[0].name}' is each one's own"
        uses = {name: how for name, how in self._uses(second).items() if name not in ("life", "here")}
        twice = [name for name, how in sorted(uses.items()) if how & WRITE and how & READ and name != "wire"]
        if twice:
            return f"it changes '{twice[0]}', which it reads"
        for way in self._ways_in(second, first):
            if way != (first, "NEXT"):
                return f"packets come to {self.name(second)} that did not pass {self.name(first)} by NEXT"
        for index in self._inside(first, second):
            for name, how in sorted(self._uses(index).items(), key=lambda use: (use[0] == "m.have", use[0])):
                if how & WRITE and (name in uses if name != "wire" else uses.get(name, 0) & READ):
                    return f"{self.name(index)} between them writes '{name}': {', '.join(sorted(self.mnf(index).writes)) or 'a machine'}"
        return self._remove(second)

    def _drop(self, index: int) -> str:
        mnf = self.mnf(index)
        if mnf.tables or mnf.outcomes or mnf.runs_in != "xdp" or set(mnf.verdicts) != {"NEXT"}:
            return "it does more than writing"
        for name in sorted(name for name, how in self._uses(index).items() if how & WRITE and name != "wire"):
            user = self._user(name, self.jumps[index, "NEXT"], self.chain_of[index], set())
            if user:
                return f"{user} uses '{name}'"
        return self._remove(index)

    def _unordered(self, members: tuple[int, ...]) -> str:
        if len(members) < 2:
            return "one alone has no order"
        for first, second in pairwise(members):
            into = {jump[0] for jump, target in self.jumps.items() if target == second}
            if set(self._onward(first)) != {second} or into != {first} or len(set(self._onward(second))) != 1:
                return f"{self.name(second)} does not follow straight on {self.name(first)}"
        for k, one in enumerate(members):
            for other in members[k + 1 :]:
                if clash := self._clash(one, other):
                    return clash
        return ""

    def _remember(self, members: tuple[int, ...]) -> str:
        chain = self.chain_of[members[0]]
        told = self.told.get(chain)
        if told is None or told.positions != members or any(self.chain_of[index] != chain for index in members):
            return "the graph remembers others"
        if told in self.remembered:
            return "they are remembered already"
        self.remembered.append(told)
        sources: dict[int, frozenset[int]] = {}
        for (source, _), target in self.jumps.items():
            sources[target] = sources.get(target, frozenset()) | {source}
        return unproved(told, self.fields, self._uses, self.mnf, _parts, sources, self.entries[chain])

    def _beside(self, run: tuple[int, ...]) -> str:
        for first, second in pairwise(run):
            if {jump[0] for jump, target in self.jumps.items() if target == second} != {first}:
                return f"packets come to {self.name(second)} that did not pass {self.name(first)}"
        end = self.jumps.get((run[-1], "NEXT"), EXIT)
        for index in run:
            stage, mnf = self.stages[self.stage_of[index]], self.mnf(index)
            if not stage.lossy:
                return f"{self.name(index)} may miss no packet"
            if mnf.runs_in != "xdp" or mnf.outcomes or set(mnf.verdicts) != {"NEXT"}:
                return f"{self.name(index)} says what becomes of the packet"
            if on_wire := sorted(field for field in mnf.writes if not field.startswith("m.")):
                return f"{self.name(index)} writes '{on_wire[0]}', and who passes the packet on has only the one"
            for name in sorted(part for field in (*mnf.writes, *(f"m.{mnf.name}.{own}" for own in mnf.metadata)) for part in _parts(field)):
                if user := self._user(name, end, self.chain_of[index], set()):
                    return f"{user} uses '{name}'"
            if index != run[0]:
                self.order.remove(index)
                self.jumps.pop((index, "NEXT"))
        self.jumps[run[0], "NEXT"] = end
        self.beside[run[0]] = run
        return ""

    def _remove(self, index: int) -> str:
        ends = set(self._onward(index))
        if len(ends) != 1:
            return f"{self.name(index)} has not one way out"
        (end,) = ends
        self.jumps = {jump: end if target == index else target for jump, target in self.jumps.items() if jump[0] != index}
        self.entries = {chain: end if entry == index else entry for chain, entry in self.entries.items()}
        self.order.remove(index)
        return ""

    # ------------------------------------------------------------ ways

    def _onward(self, index: int) -> Iterator[int]:
        """Targets of packets that don't end here."""
        return (target for (source, _), target in self.jumps.items() if source == index and target >= EXIT)

    def _ways_in(self, index: int, stop: int) -> Iterator[tuple[int, str]]:
        """All ways to `index`, walked backwards up to `stop`, of which they take an outcome, or to the chain's entry: (-1, "")."""
        seen, todo = set(), [index]
        while todo:
            at = todo.pop()
            if at in self.entries.values():
                yield -1, ""
            for (source, outcome), target in self.jumps.items():
                if target == at and source == stop:
                    yield source, outcome
                elif target == at and source not in seen:
                    seen.add(source)
                    todo.append(source)

    def _inside(self, first: int, second: int) -> set[int]:
        """All that a packet may pass between the two, found backwards."""
        seen, todo = set(), [second]
        while todo:
            at = todo.pop()
            for (source, _), target in self.jumps.items():
                if target == at and source != first and source not in seen:
                    seen.add(source)
                    todo.append(source)
        return seen

    def _user(self, name: str, at: int, chain: str, seen: set[int]) -> str:
        """Who uses what stands in `name` from here on, before every way has written it anew."""
        wire = not name.startswith("m.")
        if at == EXIT:
            then = self.chains[chain].then
            reads = (wire and then != "drop") or (then == "route" and name == "m.fwd_port")
            return f"the chain's end, '{then}'," if reads else ""
        if at < 0 or at in seen:
            return ""  # DROPPED; a stage with a link to PASSED reads the wire itself
        seen.add(at)
        uses, mnf = self._uses(at), self.mnf(at)
        if uses.get(name, 0) & READ or (wire and uses.get("wire", 0) & READ):
            return self.name(at)
        if name in {part for field in mnf.writes_always for part in _parts(field)}:
            return ""
        return next((user for target in self._onward(at) if (user := self._user(name, target, chain, seen))), "")

    # ------------------------------------------------------------ uses

    def _uses(self, index: int) -> Uses:
        stage = self.stages[self.stage_of[index]]
        direction = self.chains[self.chain_of[index]].direction
        targets = {target for (source, _), target in self.jumps.items() if source == index}
        uses = _uses(stage, stage.mnf, direction, passes=PASSED in targets, drops=DROPPED in targets)
        return uses if stage.mnf.runs_in == "xdp" else {**uses, **dict.fromkeys(self.found, READ | WRITE)}

    def _clash(self, one: int, other: int) -> str:
        """Over what the two can't agree, in words."""
        clash = _clash(self._uses(one), self._uses(other))
        if not clash:
            return ""
        mnfs = [self.mnf(index) for index in (one, other)]
        where = ""
        if clash == "wire":
            where = " of the packet, which holds " + ", ".join(sorted({f for mnf in mnfs for f in mnf.writes if not f.startswith("m.")}))
        elif clash == "life":
            left = [f"{self.stage_of[i]}.{t.name}" for i, mnf in zip((one, other), mnfs, strict=True) for t in mnf.tables]
            left += [f"{self.stage_of[i]}.{x}" for i, mnf in zip((one, other), mnfs, strict=True) for x in (*mnf.outcomes, *mnf.reasons)]
            where = " of the packet, on which " + ", ".join(left or ["both"]) + " depend"
        return f"{self.name(one)} and {self.name(other)} both use '{clash}'{where}"

    def shape(self) -> object:
        """The graph as it is now, to be compared."""
        return _plain(
            [(index, self.chain_of[index], self.stage_of[index], self.vnf_of[index]) for index in self.order],
            [(source, outcome, target) for (source, outcome), target in self.jumps.items()],
            self.entries,
            self.remembered,
            self.beside,
        )


def _uses(stage: Stage, mnf: Mnf, direction: str, passes: bool, drops: bool) -> Uses:
    """Resource -> READ, WRITE and ADD, as the manifest declares."""
    found: dict[str, int] = {}

    def note(name: str, how: int) -> None:
        found[name] = found.get(name, 0) | how

    for field in (*mnf.reads, *mnf.reads_when.get(direction, ())):
        for part in _parts(field):
            note(part, READ)
    for field in mnf.writes:
        for part in (*_parts(field), *((*_OFFSETS, "ip.len") if field == "pkt.len" else ())):
            note(part, WRITE)
        if not field.startswith("m."):
            note("wire", WRITE)
    for field in mnf.metadata:
        note(f"m.{mnf.name}.{field}", READ | WRITE)
    for table in mnf.tables:
        if table.kind in ("counter", "histogram"):
            how = ADD
        elif table.filled_by == "operator":
            how = READ
        else:
            how = READ | WRITE
        note(f"{stage.id}.{table.name}", how)
        if how != READ:
            note("life", READ)
    if passes or {"PASS", "TX", "REDIRECT"} & set(mnf.verdicts):
        note("wire", READ)
        note("life", READ | WRITE)
    if drops or "DROP" in mnf.verdicts:
        note("life", WRITE)
    if mnf.outcomes:
        note("life", READ)
    note("here", READ)
    note("m.have", READ)  # any body may ask for it without a word
    if mnf.runs_in != "xdp":
        note("here", WRITE)
        note("life", READ | WRITE)
    return found


def _parts(field: str) -> tuple[str, ...]:
    field = "ip.version" if field == "m.ip_version" else _SAME.get(field, field)
    return (field.replace("l4.", "tcp."), field.replace("l4.", "udp.")) if field.startswith("l4.") else (field,)


def _clash(one: Uses, other: Uses) -> str:
    """A resource over which two can't agree, a field or a table sooner than what these stand for."""
    for name in sorted(set(one) & set(other), key=lambda name: (name in ("life", "wire", "here"), name)):
        a, b = one[name], other[name]
        if name == "wire" and not (a | b) & READ:
            continue  # different bytes may be written in any order; the same ones clash by their own names
        if (a | b) & (WRITE | ADD) and not a == b == ADD:
            return name
    return ""


def _plain(
    positions: object,
    links: list[tuple[int, str, int]],
    entries: Mapping[str, int],
    remembered: Sequence[Remembered],
    beside: Mapping[int, tuple[int, ...]],
) -> object:
    known = [(told.chain, told.key, told.positions) for told in remembered]
    return json.loads(json.dumps([positions, sorted(links), sorted(entries.items()), known, sorted(beside.items())]))


def _shape(graph: Graph) -> object:
    def jump(link: Link) -> tuple[int, str, int]:
        return link.source, link.outcome, link.target

    places = [(p.index, p.chain, p.stage, p.vnf_index) for p in graph.positions]
    beside = {first: tuple(position.index for position in run) for first, run in graph.beside.items()}
    return _plain(places, [jump(link) for link in graph.links], graph.entries, graph.remembered, beside)


def _print(graph: Graph) -> str:
    return hashlib.sha256(json.dumps(_shape(graph)).encode()).hexdigest()
