"""Protects: what templates in templates, conditions and paths that part expand to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ebpfnf import graph, names, pipeline, spec
from ebpfnf.analyse import cost
from ebpfnf.errors import SpecErrors
from ebpfnf.generate import segment
from ebpfnf.generate.classify import classifier
from ebpfnf.generate.costs import Costs
from ebpfnf.generate.segment import MAX_TAIL_CALLS, _calls, expected
from ebpfnf.generate.ways import ways
from ebpfnf.model import EXIT, Graph
from ebpfnf.spec.match import match_fields

_INNER = """\
vnf: inner
summary: one way in for each direction, one part by condition
params: {hash: {type: bool, default: true}}
mnfs:
  hash: {mnf: flow_hash, when: {hash: true}}
  check: {mnf: check_ip}
  ttl: {mnf: ttl_dec, when: {not: {hash: true}}}
entry: {forward: hash, reverse: check}
"""
_OUTER = """\
vnf: outer
summary: the same inside twice
params: {hash: {type: bool}, kind: {type: "enum[none,one,both]", default: both}}
mnfs:
  a: {vnf: inner, hash: $hash, when: {not: {kind: none}}}
  http: {mnf: http_classify}
  b: {vnf: inner, hash: false, when: {kind: both}}
links:
  - {link: a -> b, when: {hash: false}}
  - a -> http
  - http -> b
  - b -> exit
"""
_CHAIN = """\
ebpfnf: 1
deployment: d
ports: {p: {interface: eth0}, q: {interface: eth1}}
vnfs: {x: {vnf: outer, %s}, w: {vnf: inner}, z: {vnf: inner, hash: false}}
chains:
  c: {on: p, direction: %s, match: {ip.dst: [10.0.0.0/8, "2001:db8::/32"]}, path: %s, then: %s}
"""


@pytest.fixture
def expand(tmp_path: Path):
    (tmp_path / "vnfs").mkdir()
    (tmp_path / "vnfs/inner.yaml").write_text(_INNER)
    (tmp_path / "vnfs/outer.yaml").write_text(_OUTER)

    def make(arguments: str = "hash: true", direction: str = "forward", path: str = "[x]", then: str = "pass") -> Graph:
        (tmp_path / "chain.yaml").write_text(_CHAIN % (arguments, direction, path, then))
        return pipeline.expand(spec.load(tmp_path / "chain.yaml"))

    return make


def _ways(found: Graph) -> set[tuple[str, str, str]]:
    names = {p.index: p.stage for p in found.positions} | {EXIT: "exit"}
    return {(names[k.source], k.outcome, names[k.target]) for k in found.links}


@pytest.mark.parametrize(
    ("arguments", "direction", "names"),
    [
        ("hash: true", "forward", "a.hash a.check http b.check b.ttl"),
        ("hash: true", "reverse", "a.check http b.check b.ttl"),
        ("hash: false", "forward", "a.check a.ttl b.check b.ttl"),  # by a link's condition past http
        ("hash: true, kind: one", "forward", "a.hash a.check http"),
        ("hash: true, kind: none", "forward", "http"),
        ("hash: false, kind: none", "forward", ""),  # its link leads to what is left out too
    ],
)
def test_names_nest_and_conditions_decide(expand, arguments, direction, names):
    found = expand(arguments, direction)
    stages = [f"x.{name}" for name in names.split()]
    assert [p.stage for p in found.positions] == stages == [stage.id for stage in found.stages]
    assert _ways(found) == {(one, "NEXT", other) for one, other in zip(stages, [*stages[1:], "exit"], strict=False)}
    assert found.entries == {"c": 0 if stages else EXIT}


def test_what_is_used_twice_has_two_states(expand):
    found = {stage.id: stage for stage in expand().stages}
    assert found["x.a.check"] != found["x.b.check"] and found["x.a.check"].mnf == found["x.b.check"].mnf
    assert (found["x.a.check"].instance, found["x.a.check"].node) == ("x", "a.check")


def test_one_mnf_inside_may_be_swapped_for_another_version(expand, tmp_path):
    import dataclasses

    deployment = expand().deployment
    mnf = deployment.instances[0].vnf.nodes[1].mnf
    swapped = pipeline.replace(deployment, "x.http", dataclasses.replace(mnf, summary="new"))
    assert swapped.instances[0].vnf.nodes[1].mnf.summary == "new"
    check = next(node.mnf for name, node in deployment.instances[0].vnf.mnfs() if name == "b.check")
    swapped = pipeline.replace(deployment, "x.b.check", dataclasses.replace(check, summary="new"))
    summaries = {name: node.mnf.summary for name, node in swapped.instances[0].vnf.mnfs()}
    assert summaries["b.check"] == "new" != summaries["a.check"]


_PARTED = "[w, {classes: {web: {match: {ip.dst: 10.1.0.0/16, l4.dport: 80}, path: [x]}, voice: {match: {ip.dscp: 46}, path: []}}}, z]"


def test_a_path_parts_and_goes_on_together(expand):
    found = expand(path=_PARTED)
    part = "chain.c.parts_1"
    assert _ways(found) >= {
        (part, "web", "x.a.hash"),
        (part, "voice", "z.check"),
        (part, "NEXT", "z.check"),
        ("x.b.ttl", "NEXT", "z.check"),
    }
    assert [p.branch for p in found.positions] == [""] * 3 + ["web"] * 5 + [""] * 2
    assert [p.vnf_index for p in found.positions] == [0, 0, 1, 2, 2, 2, 2, 2, 3, 3]
    stage = next(stage for stage in found.stages if stage.id == part)
    assert dict(stage.mnf.outcomes) == {"web": "", "voice": ""} and dict(stage.config) == {"shift": 0, "bits": 2}
    direct = expand(path="[{classes: {all: {match: {}, path: []}}}]")
    assert _ways(direct) == {("chain.c.parts_1", "NEXT", "exit"), ("chain.c.parts_1", "all", "exit")}


def test_one_classifier_knows_every_way(expand):
    again = ", {classes: {v6: {match: {ip.version: 6}, path: []}, near: {match: {ip.src: [10.0.0.0/8, 2001:db8::/32]}, path: []}}}]"
    found = expand(path=_PARTED[:-1] + again)
    (chain,) = found.deployment.chains
    every = list(ways(chain, match_fields()))
    numbers = [(parts & 3, parts >> 2) for _, parts in every]
    assert numbers == [(1, 2), (1, 0), (2, 1), (2, 2), (2, 0), (0, 1), (0, 2), (0, 0)], "what is of class web is not of class v6"
    assert every[0][0] == {"ip.dst": ["10.1.0.0/16"], "l4.dport": [80], "ip.src": ["10.0.0.0/8", "2001:db8::/32"]}
    entries = classifier(found, spec.fields()).tables[0].entries
    assert [(value["chain"], value["parts"]) for _, value in entries] == [(1, parts) for _, parts in every]


def test_without_classes_the_classifier_is_as_it_was(expand):
    (table,) = classifier(expand(path="[w]"), spec.fields()).tables
    assert table.value == [["chain", "u32"]] and [value["chain"] for _, value in table.entries] == [1]


def test_tail_calls_are_counted_on_the_longest_way(expand):
    found = expand(path=_PARTED, then="route")
    segments = segment(found, "mnf")
    assert max(len(group) for group in segments.groups) == 2, "where the path parts goes with what is before it"
    assert _calls(found, segments) == {"c": 2 + 5 + 2 + 4}
    assert _calls(found, segment(found, "vnf")) == {"c": 4} and _calls(found, segment(found, "chain")) == {"c": 0}
    assert MAX_TAIL_CALLS == 32


def test_links_with_conditions_count_for_cycles(expand, tmp_path):
    expand()
    (tmp_path / "vnfs/outer.yaml").write_text(_OUTER.replace("  - b -> exit", "  - {link: b -> a, when: {kind: one}}\n  - b -> exit"))
    with pytest.raises(SpecErrors, match=r"links form a cycle: (a|b|http) -> "):
        graph.expand(spec.load(tmp_path / "chain.yaml"), spec.router())


def test_names_of_pins_read_one_way_and_have_a_bound(expand, tmp_path):
    assert names.pin_name("a-b.c.t") != names.pin_name("a.b.c.t") and names.pin_name("edge.acl.rules") == "edge-acl-rules"
    assert len({names.c_identifier(name) for name in ("a-b.c", "a.b.c", "a--b.c", "a---b.c", "a-b.c.d", "a--b.c.d", "a.b.c.d")}) == 7
    long = ["u" + "x" * 30] * 5
    for k, name in enumerate(long):
        inner = "mnf: http_classify" if k == 4 else f"vnf: long{k + 1}"
        (tmp_path / f"vnfs/long{k}.yaml").write_text(f"vnf: long{k}\nsummary: x\nmnfs: {{{name}: {{{inner}}}}}\n")
    expand()
    (tmp_path / "chain.yaml").write_text(
        (_CHAIN % ("hash: true", "forward", "[x, v]", "pass")).replace("vnfs: {", "vnfs: {v: {vnf: long0}, ")
    )
    with pytest.raises(SpecErrors, match=r"has a name of 167 characters \(at most 160"):
        pipeline.expand(spec.load(tmp_path / "chain.yaml"))


def test_expected_costs_are_those_of_the_dearest_class(expand):
    costs = Costs(
        entry=100.0,
        ns={"part": 1.0, "flow_hash": 2.0, "check_ip": 4.0, "http_classify": 8.0, "ttl_dec": 16.0},
        verified={},
        hops=((33, 1000.0),),
    )
    found = expand(path=_PARTED)
    straight, web = (2 + 4) + 1 + (4 + 16), (2 + 4) + 8 + (4 + 16)
    for level, hops in (("chain", 0), ("vnf", 3), ("mnf", 9)):
        segments = segment(found, level)
        assert expected(found, segments, costs) == {"c": 100.0 + straight + web + 1000.0 * hops}
    bundle = pipeline.assemble(found, segment(found, "vnf"))
    assert cost.expected(bundle, costs) == {"c": 100.0 + straight + web + 3000.0}
    (alone,) = [s for s in (segment(found, "auto", replace(costs, verified={"http_classify": 899_000})),) if len(s.groups) > 1]
    assert expected(found, alone, costs)["c"] < 100.0 + straight + web + 3000.0
