"""Whether an mNF touches only what its manifest names: its real program, over its cases and over packets made from theirs.

What it writes shows in the bytes, in metadata and in the operator's tables. What it reads shows when two copies of it get packets that
differ only in what it does not read, and still do different things, now or by what they remember.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ebpfnf import pipeline, spec
from ebpfnf.agent import tables
from ebpfnf.agent.private import Outcome, PrivateCopy
from ebpfnf.analyse import casefile, cases, record
from ebpfnf.analyse.casefile import PORTS, Case, Step
from ebpfnf.analyse.cases import NAME
from ebpfnf.analyse.perturb import ETHER_TYPES, Parsed, altered, fields_of, rest_of, same
from ebpfnf.lab.testbed import surroundings
from ebpfnf.model import Bundle, Chain, Deployment, Mnf

MORE = 40  # packets that are made, for each case
_EDITED = "edited"
_NEEDS_MORE_THAN_A_VALUE = ("ip.version",)  # IPv4 and IPv6 differ in all else too


@dataclass(frozen=True, slots=True)
class Undeclared:
    """A field, table or verdict that the manifest does not name: `reads` or `writes` which, shown by which case."""

    how: str  # reads | writes | writes_always | verdicts
    what: str
    case: str

    def __str__(self) -> str:
        if self.how == "writes_always":
            return f"'{self.what}' is not always written, as 'writes_always:' says (case '{self.case}')"
        return f"it {self.how.replace('verdicts', 'answers')} '{self.what}', which '{self.how}:' does not name (case '{self.case}')"


@dataclass(frozen=True, slots=True)
class _Run:
    """What became of one step."""

    verdict: str
    before: Mapping[str, Any]  # metadata
    after: Mapping[str, Any]
    frame: bytes
    data: bytes
    goes_on: bool


def check(folder: Path) -> tuple[Undeclared, ...]:
    """What the mNF in this folder touches beyond its manifest. Needs root. Raises SpecErrors where a file is wrong."""
    mnf = spec.load_mnf(folder)
    return check_mnf(mnf, casefile.read(folder, mnf))


def check_mnf(mnf: Mnf, all_cases: Sequence[Case], only: str = "") -> tuple[Undeclared, ...]:
    """The same for a manifest in hand. `only`: perturb this field alone."""
    found: dict[tuple[str, str], Undeclared] = {}
    for each in undeclared(mnf, all_cases, only):
        found.setdefault((each.how, each.what), each)
    return tuple(found.values())


def undeclared(mnf: Mnf, all_cases: Sequence[Case], only: str = "") -> Iterator[Undeclared]:
    """The same one by one, as the cases show it, some more than once."""
    with PrivateCopy(_parser()) as parser:
        for number, case in enumerate(all_cases):
            with ExitStack() as stack:
                interfaces = stack.enter_context(surroundings(PORTS, case.testbed)) if case.testbed.ports else {}
                yield from _Bench(mnf, case, parser, interfaces, random.Random(number)).undeclared(only)


def _parser() -> Bundle:
    """A deployment that does nothing: its record is what the parser finds."""
    chain = Chain(NAME, PORTS[0].name, "forward", {"eth.type": ETHER_TYPES}, (), "pass")
    return pipeline.build(Deployment(NAME, PORTS, (), (chain,), optimise=False))


class _Bench:
    """One case's deployment, and the steps to run: the case's own, and more."""

    def __init__(self, mnf: Mnf, case: Case, parser: PrivateCopy, interfaces: Mapping[str, int], r: random.Random) -> None:
        self.mnf, self.case, self.parser, self.interfaces, self.random = mnf, case, parser, interfaces, r
        self.places = record.places(pipeline.expand(cases.deployment_of(case, mnf)))
        self.parse_places = {n: place for n, place in record.places(pipeline.expand(_nothing())).items() if n in _parse_fields()}
        self.known: dict[bytes, Parsed | None] = {}
        parsed = [p for step in case.steps if (p := self.parsed(step.packet))]
        self.pools: dict[str, list[bytes]] = {}
        for step, p in zip([s for s in case.steps if self.parsed(s.packet)], parsed, strict=True):
            for name, value in fields_of(step.packet, p).items():
                self.pools.setdefault(name, []).append(value)
        self.steps = self._more([step for step in case.steps if self.parsed(step.packet)])

    def parsed(self, frame: bytes) -> Parsed | None:
        """What the parser finds, None where the frame does not come to an mNF."""
        if frame not in self.known:
            self.known[frame] = self._parse(frame)
        return self.known[frame]

    def _parse(self, frame: bytes) -> Parsed | None:
        outcome = self.parser.run(frame, PORTS[0].name, 1)
        if outcome.counter.name != f"chain.{NAME}.out":
            return None
        found = record.decode(outcome.metadata, self.parse_places)
        return None if found["frag"] and self._reads_l4() else found

    def _reads_l4(self) -> bool:
        every = {*self.mnf.reads, *(name for names in self.mnf.reads_when.values() for name in names)}
        return any(name.startswith(("l4.", "tcp.", "pl.")) for name in every)

    def _more(self, own: list[Step]) -> list[Step]:
        """The case's steps, and packets made of them by other values in some fields and in metadata."""
        steps, r = list(own), self.random
        for _ in range(MORE if own else 0):
            step = r.choice(own)
            frame = step.packet
            for name in r.sample(sorted(spec.fields().header), r.randint(0, 4)):
                frame = self._altered(frame, name, ())
            given = dict(step.given)
            for name, kind in _settable().items():
                if r.random() < 0.3:
                    given[name] = _value(kind, r)
            steps.append(replace(step, packet=frame, given=given, at=steps[-1].at + r.choice((0, 10**6, 2 * 10**9))))
        return steps

    def _altered(self, frame: bytes, field: str, keep: Sequence[str]) -> bytes:
        """Another value in this field and the same in those of `keep`, or the frame as it is."""
        before = self.parsed(frame)
        assert before is not None
        for _ in range(4):
            other = altered(frame, before, field, self.pools.get(field, ()), self.random)
            if other == frame:
                break  # there is no such field in it
            after = self.parsed(other)
            if after is None:
                continue
            one, two = fields_of(frame, before), fields_of(other, after)
            if one.get(field) != two.get(field) and all(same(name, one, two) for name in keep if name != field):
                return other
        return frame

    # ------------------------------------------------------------ checks

    def undeclared(self, only: str) -> Iterator[Undeclared]:
        """What the case and the packets made of it show."""
        if not self.steps:
            return
        first, tables_first = self._run(self.steps)
        yield from self._writes(first)
        yield from (Undeclared("writes", name, self.case.name) for name in tables_first.pop(_EDITED))
        fields = [only] if only else self._unread()
        if self._differs(first, tables_first, fields):
            yield from (Undeclared("reads", name, self.case.name) for name in self._culprits(first, tables_first, fields))
        yield from self._always(first)

    def _culprits(self, first: Sequence[_Run], tables_first: Mapping[str, Any], fields: Sequence[str]) -> Sequence[str]:
        """Which of the fields make the difference: those that do so while all others stay, else those that take others with them."""
        if len(fields) == 1:
            return fields
        alone = [name for name in fields if self._differs(first, tables_first, [name], keep=fields)]
        return alone or [name for name in fields if self._differs(first, tables_first, [name])] or fields

    def _unread(self) -> list[str]:
        """Fields that are read in neither direction, or only in one that no step has; and what tells nothing by itself."""
        directions = {"reverse" if step.given.get("dir") else "forward" for step in self.steps}
        read = frozenset().union(*(self.mnf.reads_in(direction) for direction in directions))
        every = [*spec.fields().header, *(f"m.{name}" for name in _settable())]
        return [name for name in every if name not in read and name not in _NEEDS_MORE_THAN_A_VALUE]

    def _writes(self, runs: Sequence[_Run]) -> Iterator[Undeclared]:
        own = {f"{self.mnf.name}.{name}" for name in self.mnf.metadata}
        for run in runs:
            if run.verdict.startswith("?"):
                yield Undeclared("verdicts", run.verdict[1:], self.case.name)
            for name in run.after:
                if run.after[name] != run.before.get(name) and name not in own and f"m.{name}" not in self.mnf.writes:
                    yield Undeclared("writes", f"m.{name}", self.case.name)
            if run.verdict.startswith("DROP"):
                continue  # its bytes go nowhere
            before, after = fields_of(run.frame, run.before), fields_of(run.data, run.before)
            for name in sorted(before):
                if after[name] != before[name] and name not in self.mnf.writes and name != "ip.csum":
                    yield Undeclared("writes", name, self.case.name)
            if rest_of(run.frame, run.before) != rest_of(run.data, run.before):
                yield Undeclared("writes", "bytes of no field", self.case.name)

    def _differs(self, first: Sequence[_Run], tables_first: Mapping[str, Any], fields: Sequence[str], keep: Sequence[str] = ()) -> bool:
        """Whether other values in these fields, and in none that is read or in `keep`, make a difference. Two tries: values are drawn."""
        for _ in range(2):
            steps = [self._perturbed(step, fields, keep) for step in self.steps]
            second, tables_second = self._run(steps)
            del tables_second[_EDITED]
            if tables_first != tables_second:
                return True
            if any(one.verdict != other.verdict or self._wrote(one, other) for one, other in zip(first, second, strict=True)):
                return True
        return False

    def _perturbed(self, step: Step, fields: Sequence[str], also: Sequence[str]) -> Step:
        reads = self.mnf.reads_in("reverse" if step.given.get("dir") else "forward")
        keep = sorted(name for name in {*reads, *also} if not name.startswith("m."))
        frame, given = step.packet, dict(step.given)
        for name in fields:
            if name in reads:
                continue
            if name.startswith("m."):
                given[name[2:]] = _value(_settable()[name[2:]], self.random)
            else:
                frame = self._altered(frame, name, keep)
        return replace(step, packet=frame, given=given)

    def _wrote(self, one: _Run, other: _Run) -> bool:
        """Whether one wrote something else than the other; what neither wrote may differ."""
        for name in self.mnf.writes:
            if name.startswith("m."):
                key = name[2:]
                values = (one.before.get(key), one.after.get(key)), (other.before.get(key), other.after.get(key))
            elif one.verdict.startswith("DROP"):
                continue
            else:
                values = tuple(  # type: ignore[assignment]
                    (fields_of(run.frame, run.before).get(name), fields_of(run.data, run.before).get(name)) for run in (one, other)
                )
            (before, after), (before2, after2) = values
            if after != after2 and (before != after or before2 != after2):
                return True
        return any(one.after.get(f"{self.mnf.name}.{own}") != other.after.get(f"{self.mnf.name}.{own}") for own in self.mnf.metadata)

    def _always(self, first: Sequence[_Run]) -> Iterator[Undeclared]:
        """What is always written holds the same afterwards, whatever stood there before."""
        for field in sorted(self.mnf.writes_always):
            if field in self.mnf.reads:
                continue
            steps = [
                replace(s, given={**s.given, field[2:]: _value(_settable()[field[2:]], self.random)})
                if field.startswith("m.")
                else replace(s, packet=self._altered(s.packet, field, ()))
                for s in self.steps
            ]
            second, _ = self._run(steps)
            for one, other in zip(first, second, strict=True):
                if one.goes_on and other.goes_on and self._holds(one, field) != self._holds(other, field):
                    yield Undeclared("writes_always", field, self.case.name)

    def _holds(self, run: _Run, field: str) -> Any:
        return run.after.get(field[2:]) if field.startswith("m.") else fields_of(run.data, run.before).get(field)

    # ------------------------------------------------------------ running

    def _run(self, steps: Sequence[Step]) -> tuple[list[_Run], dict[str, Any]]:
        """All steps in a row on a fresh copy, and what its tables hold then."""
        deployment = cases.deployment_of(replace(self.case, steps=tuple(steps)), self.mnf)
        chain = replace(deployment.chains[0], match={"eth.type": ETHER_TYPES})
        bundle = pipeline.build(replace(deployment, chains=(chain,)))
        with PrivateCopy(bundle, self.interfaces) as copy:
            return [self._one(copy, step, number) for number, step in enumerate(steps, 1)], self._tables(copy)

    def _one(self, copy: PrivateCopy, step: Step, number: int) -> _Run:
        counts = copy.counts()
        outcome = copy.run(step.packet, PORTS[0].name, step.at + number)
        counted = {name: count - counts[name] for name, count in copy.counts().items()}
        parsed = self.parsed(step.packet)
        assert parsed is not None
        verdict = _verdict(self.mnf, outcome, counted)
        after = record.decode(outcome.metadata, self.places)
        before = {**dict.fromkeys(after, 0), **_zeroes(), **parsed, **step.given}
        before |= {"chain": after["chain"], "in_port": after["in_port"]}
        goes_on = outcome.counter.name == f"chain.{NAME}.out"
        return _Run(verdict, before, after, step.packet, outcome.data, goes_on)

    def _tables(self, copy: PrivateCopy) -> dict[str, Any]:
        """What packets put into its tables, and under a name of its own which of the operator's are not as they were."""
        own = [table for table in copy.bundle.tables if table.name.startswith(f"{NAME}.{self.mnf.name}.")]
        edited = [t.name.rpartition(".")[2] for t in own if t.filled_by == "operator" and tables.diff(*copy.table(t.name), t.entries)]
        dumps = {t.name: {str(k): v for k, v in tables.dump(*copy.table(t.name))} for t in own if t.filled_by != "operator"}
        return {**dumps, _EDITED: edited}


def _verdict(mnf: Mnf, outcome: Outcome, counted: Mapping[str, int]) -> str:
    if outcome.counter.name == f"chain.{NAME}.bad_verdict":
        return "?a verdict"
    return cases._verdict(mnf, outcome, counted)


def _nothing() -> Deployment:
    return Deployment(NAME, PORTS, (), (Chain(NAME, PORTS[0].name, "forward", {"eth.type": ETHER_TYPES}, (), "pass"),))


def _parse_fields() -> frozenset[str]:
    return frozenset(name for name, field in spec.fields().metadata.items() if field.by_parse)


def _settable() -> dict[str, str]:
    """Metadata that a step may set, with its type: what no parser writes."""
    types = {"struct ip_addr": "ip", "struct mac_addr": "mac", "be16": "port"}
    return {name: types.get(field.c, field.c) for name, field in spec.fields().metadata.items() if not field.by_parse}


def _zeroes() -> dict[str, Any]:
    zero: dict[str, Any] = {"ip": "::", "mac": "00:00:00:00:00:00"}
    return {name: zero.get(kind, 0) for name, kind in _settable().items()}


def _value(kind: str, r: random.Random) -> Any:
    """Any value of this type, often a small one."""
    if kind == "ip":
        return r.choice(("::", "10.1.0.11", "10.1.0.12", "2001:db8:1::11", "203.0.113.77"))
    if kind == "mac":
        return r.randbytes(6).hex(":")
    bits = {"u8": 8, "u16": 16, "port": 16, "u32": 32}[kind]
    return r.choice((0, 1, 2, 3, 80, 8080 % (1 << bits), r.randrange(1 << bits)))
