"""Protects: templates in templates, conditions, and paths that part by classes mean what they say, and what is wrong is told with its place."""
# ruff: noqa: E501 -- a case is a line

from __future__ import annotations

import json

import pytest

from ebpfnf import spec
from ebpfnf.model import Parting, Reference, VnfNode, VnfUse, When

CHAIN, HOUSE = "chain.yaml", "vnfs/house.yaml"


def test_a_template_in_a_template_with_its_conditions(house):
    vnf = house.load().instances[1].vnf
    outer, inner = vnf.nodes
    assert isinstance(outer, VnfUse) and outer.vnf.name == "wall" and outer.arguments == {"rules": Reference("rules")}
    assert outer.when == When("not", parts=(When("is", "mode", ("open",)),))
    assert isinstance(inner, VnfNode) and inner.arguments == {"rules": [], "idle": Reference("idle")}
    assert inner.when and inner.when.params == {"mode", "idle", "rules"}
    assert [name for name, _ in vnf.mnfs()] == ["outer.first", "outer.second", "inner"]
    assert [link.when for link in vnf.links] == [None, When("is", "mode", ("shut",)), None]


@pytest.mark.parametrize(
    ("arguments", "holds"),
    [
        ({"mode": "shut", "idle": 1, "rules": [1]}, True),
        ({"mode": "open", "idle": 1, "rules": [1]}, True),
        ({"mode": "ajar", "idle": 300 * 10**9, "rules": []}, True),
        ({"mode": "ajar", "idle": 300 * 10**9, "rules": [1]}, False),
        ({"mode": "ajar", "idle": 1, "rules": []}, False),
    ],
)
def test_conditions_hold_for_values(house, arguments, holds):
    inner = house.load().instances[1].vnf.nodes[1]
    assert inner.when and inner.when.holds(arguments) is holds


def test_a_path_that_parts(house):
    chain = house.load().chains[0]
    first, parting, last = chain.path
    assert isinstance(parting, Parting) and (first, last) == ("edge", "late")
    assert [(c.name, c.match, c.path) for c in parting.classes[:1]] == [("web", {"l4.dport": (80,)}, ("house",))]
    (inside,) = parting.classes[1].path
    assert isinstance(inside, Parting) and inside.classes[0].match == {"ip.version": (6,)}
    assert [(p.name, p.shift, p.bits) for p in (parting, inside)] == [("parts_1", 0, 2), ("parts_2", 2, 1)]
    assert len(chain.path_where) == 5 and [w.line for w in chain.path_where] == [13] * 5


def test_what_may_stand_in_one_way_only_once_may_stand_in_two(house):
    house.change(CHAIN, "rest: {match: {}, path: [{", "rest: {match: {}, path: [house, {")
    assert house.load().chains[0].path


CASES = [
    # ---- templates in templates
    (HOUSE, "vnf: wall,", "vnf: wal,", "vnfs/house.yaml:8:16: no vnf 'wal' (did you mean 'wall'?)"),
    (HOUSE, "vnf: wall,", "vnf: house,", "vnfs/house.yaml:8:16: vnf 'house' uses itself: house -> house (a template is made of smaller ones)"),
    (HOUSE, "vnf: wall,", "mnf: gate, vnf: wall,", "vnfs/house.yaml:8:3: node 'outer' (wanted one of 'mnf: <mNF>' and 'vnf: <template>')"),
    (HOUSE, "vnf: wall, ", "", "vnfs/house.yaml:8:3: node 'outer' (wanted one of 'mnf: <mNF>' and 'vnf: <template>')"),
    (HOUSE, "wall, rules: $rules", "wall", "vnfs/house.yaml:8:10: vnf 'wall': parameter 'rules' is missing (wanted list[rule])"),
    (HOUSE, "wall, rules: $rules", "wall, ruels: $rules, rules: []", "vnfs/house.yaml:8:22: vnf 'wall' has no parameter 'ruels' (did you mean 'rules'?)"),
    (HOUSE, "wall, rules: $rules", "wall, rules: $mode", "vnfs/house.yaml:8:29: '$mode' is enum[open,shut] ('rules' wants list[rule])"),
    (HOUSE, "wall, rules: $rules", "wall, rules: [{allow: {ip.dst: 10.0.0.1}}]", "vnfs/house.yaml:8:39: unknown match key 'ip.dst' (not in the table of the mNF that these rules fill)"),
    (HOUSE, "wall, rules: $rules", "wall, rules: [" + ", ".join(["{allow: {}}"] * 5) + "]", "vnfs/house.yaml:8:29: rules has 5 items (table 'rules' holds 4)"),
    (CHAIN, "house, rules: [{allow: {}}]", "house, rules: [" + ", ".join(["{allow: {}}"] * 5) + "]", "chain.yaml:10:30: rules has 5 items (table 'rules' holds 4)"),
    (CHAIN, "house, rules: [{allow: {}}]", "house, rules: [{allow: {ip.dst: 10.0.0.1}}]", "chain.yaml:10:40: unknown match key 'ip.dst' (not in the table"),
    (HOUSE, "  - outer -> inner", "  - outer.unsure -> exit\n  - outer -> inner", "vnfs/house.yaml:11:5: link 'outer.unsure -> exit': 'outer' has no outcome 'unsure' (outcomes: NEXT)"),
    (HOUSE, "  mode: {type", "  any: {type: bool}\n  mode: {type", "vnfs/house.yaml:5:3: a parameter can't be called 'any' (the key has a meaning of its own)"),
    # ---- conditions
    (HOUSE, "{not: {mode: open}}", "{not: {mod: open}}", "vnfs/house.yaml:8:50: no parameter 'mod' (did you mean 'mode'?)"),
    (HOUSE, "{not: {mode: open}}", "{not: {mode: opne}}", "vnfs/house.yaml:8:56: mode 'opne' (wanted one of open, shut)"),
    (HOUSE, "{not: {mode: open}}", "{mode: []}", "vnfs/house.yaml:8:50: mode is one of none, which never holds (name a value)"),
    (HOUSE, "{not: {mode: open}}", "{rules: [{allow: {}}]}", "vnfs/house.yaml:8:51: rules '[{'allow': {}}]' (wanted []: of a list a condition asks whether it is empty)"),
    (HOUSE, "{not: {mode: open}}", "mode", "vnfs/house.yaml:8:43: a condition 'mode' (wanted a mapping such as {mode: strict}, with not, any or all)"),
    (HOUSE, "{not: {mode: open}}", "{}", "vnfs/house.yaml:8:43: a condition '{}' (wanted a mapping"),
    (HOUSE, "{not: {mode: open}}", "{all: {mode: open}}", "vnfs/house.yaml:8:49: all '{'mode': 'open'}' (wanted a list of conditions)"),
    (HOUSE, "{not: {mode: open}}", "'mode == open'", "vnfs/house.yaml:8:43: a condition 'mode == open' (wanted a mapping"),
    (HOUSE, ", when: {mode: shut}}", ", if: {mode: shut}}", "vnfs/house.yaml:12:5: link '{'link': 'inner.unsure -> exit', 'if': {'mode': 'shut'}}' (wanted {link: a -> b, when: <condition>})"),
    (HOUSE, "  - inner -> exit", "  - {link: inner -> exit, when: {mode: shut}}", "vnfs/house.yaml:13:12: 'inner.NEXT' has links with conditions only (the last one must hold always)"),
    (HOUSE, "  - outer -> inner\n", "  - outer -> inner\n  - {link: outer -> exit, when: {mode: open}}\n", "vnfs/house.yaml:12:12: link 'outer -> exit': 'outer.NEXT' is linked already (in line 11)"),
    (HOUSE, "rules: [], idle: $idle, when", "rules: [], when: {mode: open}, idle: 1s, whn", "mnf 'gate' has no parameter 'whn'"),
    # ---- paths that part
    (CHAIN, "path: [house]", "path: [hose]", "chain.yaml:13:106: no vnf 'hose' (did you mean 'house'?)"),
    (CHAIN, "path: [house]", "path: house", "chain.yaml:13:105: path 'house' (wanted a list)"),
    (CHAIN, "path: [house]", "path: [edge]", "chain.yaml:13:106: 'edge' is in the path twice (a second instance"),
    (CHAIN, "path: [house]", "path: [late]", ": 'late' is in the path twice (a second instance"),
    (CHAIN, "path: [house]", "pth: [house]", "chain.yaml:13:99: unknown key 'pth' (did you mean 'path'?)"),
    (CHAIN, "path: [house]", "path: [house], then: drop", "unknown key 'then' (keys: match, path)"),
    (CHAIN, ", path: [house]", "", "chain.yaml:13:75: class 'web' (wanted {match: {...}, path: [...]})"),
    (CHAIN, "{classes: {web", "{clases: {web", "in a path (wanted a VNF's name, or classes: {<name>: {match: {...}, path: [...]}})"),
    (CHAIN, "[{classes: {v6: {match: {ip.version: 6}, path: []}}}]", "[{classes: {}}]", "classes '{}' (wanted a VNF's name, or classes:"),
    (CHAIN, "{web: {match", "{Web: {match", "chain.yaml:13:70: name 'Web' (wanted a lower-kebab name"),
    (CHAIN, "{web: {match", "{out: {match", "chain.yaml:13:70: a class can't be called 'out' (the framework counts something of its own so)"),
    (CHAIN, "{v6: {match", "{web: {match", "class 'web' is there already (a chain's classes are counted by their names)"),
    (CHAIN, "{l4.dport: 80}", "{l4.dprt: 80}", "unknown match key 'l4.dprt' (did you mean 'l4.dport'?)"),
    (CHAIN, "{l4.dport: 80}", "{tcp.flags: syn}", "unknown match key 'tcp.flags' (rules of a VNF can match it, classes can't)"),
    (CHAIN, "{l4.dport: 80}", "{ip.proto: udp}", "chain.yaml:13:83: class 'web' takes nothing (what comes here never matches it)"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "wanted"), CASES, ids=[f"{c[0].split('/')[-1]}-{c[2][:40]!r}" for c in CASES])
def test_an_error_says_where_what_and_what_was_wanted(house, file, old, new, wanted):
    errors = house.change(file, old, new).errors()
    assert any(wanted in error for error in errors), errors


def _template(name: str, *nodes: str) -> str:
    return f"vnf: {name}\nsummary: x\nmnfs:\n" + "".join(f"  n{k}: {node}\n" for k, node in enumerate(nodes))


def test_templates_that_use_each_other_are_refused_with_the_way_round(site):
    for name, used in (("a", "b"), ("b", "c"), ("c", "a")):
        site.files[f"vnfs/{name}.yaml"] = _template(name, "{mnf: check_ip}", f"{{vnf: {used}}}")
    site.change(CHAIN, "chains:", "  x: {vnf: a}\nchains:")
    assert site.errors() == ["vnfs/c.yaml:5:13: vnf 'a' uses itself: a -> b -> c -> a (a template is made of smaller ones)"]


def test_templates_are_in_one_another_up_to_eight_deep(site):
    for k in range(9):
        site.files[f"vnfs/d{k}.yaml"] = _template(f"d{k}", f"{{vnf: d{k - 1}}}" if k else "{mnf: check_ip}")
    site.change(CHAIN, "chains:", "  x: {vnf: d7}\nchains:")
    assert [name for name, _ in site.load().instances[1].vnf.mnfs()] == ["n0." * 7 + "n0"]
    site.change(CHAIN, "{vnf: d7}", "{vnf: d8}")
    assert site.errors() == ["vnfs/d1.yaml:4:13: vnf 'd0' is too deep in others (at most 8 templates in one another)"]
    site.change(CHAIN, "  x:", "  w: {vnf: d4}\n  x:")
    assert any("is too deep in others" in error for error in site.errors()), "known from elsewhere or not"


def test_a_template_that_grows_without_bound_is_refused_at_once(site):
    for k in range(8):
        site.files[f"vnfs/d{k}.yaml"] = _template(f"d{k}", *([f"{{vnf: d{k - 1}}}"] * 40 if k else ["{mnf: check_ip}"]))
    site.change(CHAIN, "chains:", "  x: {vnf: d7}\nchains:")
    assert site.errors() == ["vnfs/d2.yaml:4:3: vnf 'd2' has too many mNFs in the templates that it uses (at most 512)"]


@pytest.mark.parametrize(("classes", "partings", "fits"), [(3, 8, True), (1, 17, False), (15, 4, True), (16, 4, False)])
def test_the_bits_of_classes_have_a_bound(site, classes, partings, fits):
    parts = ", ".join(
        "{classes: {" + ", ".join(f"c{p}-{c}: {{match: {{l4.dport: {c}}}, path: []}}" for c in range(classes)) + "}}"
        for p in range(partings)
    )
    site.change(CHAIN, "path: [edge]", f"path: [{parts}]")
    if fits:
        assert len(site.load().chains[0].path) == partings
    else:
        assert any("the path has classes of" in error and "at most 16:" in error for error in site.errors())


def test_the_schemas_know_the_new_forms():
    schemas = spec.schema()
    chain, vnf = schemas["chain.yaml"], schemas["vnf.yaml"]
    assert chain["$defs"]["ChainShape"]["properties"]["path"] == {"$ref": "#/$defs/Path"} and "Path" in chain["$defs"]
    assert vnf["$defs"]["NodeShape"]["properties"]["when"] == {"$ref": "#/$defs/When"} and "When" in vnf["$defs"]
    references = {part.split('"')[0] for part in json.dumps(schemas).split('"$ref": "#/$defs/')[1:]}
    assert references <= {name for schema in schemas.values() for name in schema.get("$defs", {})}
