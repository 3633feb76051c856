"""Protects: a flow cache answers as tables would (semantics 35): a change is in force for known flows too, on every CPU, after a kill."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ebpfnf import pipeline, spec
from ebpfnf.agent import flow_cache, tables
from ebpfnf.agent.private import PrivateCopy
from ebpfnf.errors import HostUnreachable, SpecErrors
from ebpfnf.kernel import links, pins, programs
from ebpfnf.model import Bundle, Deployment
from ebpfnf.packets import build
from tests.differential import compare
from tests.faults.bench import Bench, made
from tests.optimise.random_chains import MACS, Files
from tests.subjects import SUBJECTS, Subject

pytestmark = pytest.mark.kernel

CHAIN = """
ebpfnf: 1
deployment: NAME
tables: MODE
flow_cache: FLOWS
ports:
  wan: {interface: wan0, on_fault: drop}
  lan: {interface: lan0, on_fault: drop}
vnfs:
  fire: {vnf: edge-firewall, rules: [{allow: {l4.dport: 80}}], default: deny}
chains:
  in: {on: wan, match: {}, path: [fire], then: pass}
"""
RULES = "fire.acl.rules"
DENY = {"match": {"ip.src": ["192.0.2.9"]}, "action": "deny", "class": 0}
PACKET = "tcp 192.0.2.9:4000 > 198.51.100.7:80 flags S"
DROP, PASS = 1, 2


def built(folder: Path, mode: str = "direct", name: str = "known", flows: int = 64) -> Bundle:
    file = folder / "chain.yaml"
    file.write_text(CHAIN.replace("NAME", name).replace("MODE", mode).replace("FLOWS", str(flows)))
    return pipeline.build_file(file)


@contextmanager
def on(copy: PrivateCopy, cpu: int) -> Iterator[None]:
    """The copy's thread on another CPU, as the next packet may be."""
    before = copy._cpu, copy._slot
    os.sched_setaffinity(0, {cpu})
    copy._cpu, copy._slot = cpu, cpu * copy.bundle.slot.size
    try:
        yield
    finally:
        copy._cpu, copy._slot = before
        os.sched_setaffinity(0, {copy._cpu})


@pytest.mark.parametrize("mode", ["kernel", "direct"])
def test_known_flows_see_a_change_at_once_on_every_cpu(tmp_path: Path, mode: str) -> None:
    """What is changed behind the cache's back is not seen: so it was the cache that answered, and to forget is what makes it seen."""
    frame, cpus = build(PACKET), sorted(os.sched_getaffinity(0))
    with PrivateCopy(built(tmp_path, mode)) as copy:
        acl, live = copy.table(RULES)

        def answers() -> set[int]:
            found = set()
            for cpu in cpus:
                with on(copy, cpu):
                    found |= {copy.run(frame, "wan", 1).action for _ in range(2)}
            return found

        assert answers() == {PASS}
        tables.set(acl, live, "5", DENY)
        assert answers() == {PASS}
        with flow_cache.paused(copy._map(copy._stack, flow_cache.MAP)):
            assert answers() == {DROP}  # nothing is found, and nothing is kept, while a change is under way
            tables.delete(acl, live, "5")
            assert answers() == {PASS}
            tables.set(acl, live, "5", DENY)
        assert answers() == {DROP}
        assert copy.counts()["fire.acl_deny"] == 2 * 2  # of the copy's own CPU: each drop was counted, remembered or not


def test_a_deployments_tables_change_for_known_flows_and_a_kill_leaves_nothing_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with made(tmp_path) as bench:
        bench.apply(built(tmp_path, name=bench.name))
        assert answered(bench) == [PASS, PASS]
        bench.run("table set", {"table": RULES, "key": "5", "value": DENY})
        assert answered(bench) == [DROP, DROP]
        bench.run("table del", {"table": RULES, "key": "5"})
        assert answered(bench) == [PASS, PASS]
        monkeypatch.setattr(tables, "set", changed_and_killed(tables.set))
        with pytest.raises(HostUnreachable):
            bench.run("table set", {"table": RULES, "key": "5", "value": DENY})
        monkeypatch.undo()
        assert answered(bench) == [DROP, DROP]


def changed_and_killed(change: Callable[..., object]) -> Callable[..., None]:
    def both(*arguments: object) -> None:
        change(*arguments)
        os.kill(os.getpid(), 9)

    return both


def answered(bench: Bench) -> list[int]:
    """What the data plane says to the packet, twice."""
    with bench.here() as at:
        fd = pins.get(at.link("wan"))
        program = programs.open_id(links.info(fd).prog_id)
        os.close(fd)
        try:
            return [programs.test_run(program, build(PACKET)).action for _ in range(2)]
        finally:
            os.close(program)


def test_with_it_the_programs_do_what_the_model_says(tmp_path: Path) -> None:
    """Few entries for many flows, so that they come and go; and in a program each, for an entry must be found again behind a tail call."""
    (subject,) = (each for each in SUBJECTS if each.name == "dc-edge")

    class Remembering(Subject):
        def deployment(self, folder: Path) -> Deployment:
            return replace(super().deployment(folder), flow_cache=16)

    values = {field: getattr(subject, field) for field in Subject.__dataclass_fields__}
    bundle = pipeline.build(Remembering(**values).deployment(tmp_path))
    assert any(spec_.name == flow_cache.MAP for spec_ in bundle.maps)
    assert compare(Remembering(**values), tmp_path, 5, 700, ("mnf", "chain")) == 2 * 700


SHARED = """
ebpfnf: 1
deployment: shared
flow_cache: 2
ports:
  wan: {interface: wan0}
vnfs:
  all: {vnf: edge-firewall, rules: [{allow: {l4.dport: 80}}], default: deny}
  low: {vnf: layer2}
chains:
  short: {on: wan, match: {ip.dst: 198.51.100.1}, path: [low], then: drop}
  long: {on: wan, match: {ip.dst: 198.51.100.2}, path: [all], then: pass}
"""
LAYER2 = """
vnf: layer2
summary: a short key, and so many answers behind it that they reach over the longest
mnfs:
  n0: {mnf: acl_l2, rules: [{deny: {eth.src: "02:00:00:00:03:00"}}]}
""" + "".join(f"  n{k}: {{mnf: passing, unless: {k}}}\n" for k in range(1, 32))
PASSING = """
mnf: passing
summary: passes frames but those to one host
reads: [eth.dst]
writes: []
verdicts: [NEXT, PASS]
params:
  unless: {type: u8, default: 0, doc: the last byte of that host}
"""


def test_chains_with_keys_of_different_lengths_share_the_same_two_places(tmp_path: Path) -> None:
    """Whose entry it is, what is known and whose turn it is lie alike in all: one chain's packets touch no answer of another's."""
    files = {
        "chain.yaml": SHARED,
        "vnfs/layer2.yaml": LAYER2,
        "mnfs/passing/mnf.yaml": PASSING,
        "mnfs/passing/mnf.c": "MNF(struct pkt *pkt)\n{\n\treturn get_eth_dst(pkt).b[5] > cfg.unless ? NEXT : PASS;\n}\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    shared = pipeline.build_file(tmp_path / "chain.yaml")
    with PrivateCopy(pipeline.build(replace(spec.load(tmp_path / "chain.yaml"), flow_cache=256))):
        pass  # the verifier knows the bound of 384 bytes times any number
    allowed, denied, short = (build(f"tcp 192.0.2.9:4000 > 198.51.100.{to} flags S") for to in ("2:80", "2:81", "1:80"))
    right = {allowed: "chain.long.out", denied: "all.acl_deny"}
    with PrivateCopy(shared) as copy:
        for k in range(1, 32):
            other = bytes((2, 0, 0, 0, 0, k)) + short[6:]
            right[other] = f"low.n{k}.pass"
            for frame in (other, allowed, other, denied) * 4:
                assert copy.run(frame, "wan", 1).counter.name == right[frame]


def test_a_size_that_none_can_be_is_refused_where_it_stands(tmp_path: Path) -> None:
    for flows in ("-1", "65537", "all"):
        (tmp_path / "chain.yaml").write_text(CHAIN.replace("NAME", "x").replace("MODE", "auto").replace("FLOWS", flows))
        with pytest.raises(SpecErrors, match=r"chain\.yaml:5:13: .*flow_cache"):
            spec.load(tmp_path / "chain.yaml")


def test_what_a_class_left_is_not_remembered_for_another_class(tmp_path: Path) -> None:
    """Two packets that differ in nothing that an mNF reads, but in the VLAN that parts the path."""

    def classed(number: int) -> tuple[dict[str, dict[str, object]], list[str]]:
        return {"n": {"mnf": "acl_5t", "rules": [{"allow": {}, "class": number}]}}, ["n -> exit"]

    gate = {"n": {"mnf": "gate", "low": 5, "high": 9}}, ["n -> exit"]
    path = (("x", "one"), (("tagged", {"vlan.id": 5}, (("y", "seven"),)),), ("z", "gate"))
    files = Files({"one": classed(1), "seven": classed(7), "gate": gate}, {"c0": (path, "forward", "pass")})
    tagged, other = (build(f"{PACKET} eth {MACS[0]} > 02:00:00:00:00:02 vlan {number}") for number in (5, 6))
    bundle = pipeline.build(replace(spec.load(files.write(tmp_path)), flow_cache=64))
    for order in ((tagged, other), (other, tagged)):
        with PrivateCopy(bundle) as copy:
            assert [copy.run(frame, "a", 1).action for frame in order * 2] == [PASS if frame == tagged else DROP for frame in order * 2]
