"""A whole site becomes the values that it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import spec
from ebpfnf.model import Reference, VnfLink

ROOT = Path(__file__).parents[2]


def test_a_deployment_is_what_its_files_say(site):
    d = site.load()
    assert [(p.number, p.name, p.interface, p.otherwise, p.fragments, p.on_fault) for p in d.ports] == [
        (1, "wan", "eth0", "pass", "drop", "drop"),
        (2, "lan", "eth1", "out:wan", "drop", "drop"),
    ]
    chain = d.chains[0]
    assert (chain.on, chain.direction, chain.match, chain.path, chain.then) == (
        "wan",
        "forward",
        {"ip.proto": ("tcp",)},
        ("edge",),
        "out:lan",
    )
    assert (chain.path_where[0].line, chain.path_where[0].column) == (11, 53)
    edge = d.instances[0]
    assert edge.arguments == {
        "rules": [{"action": "allow", "match": {"ip.src": ["192.0.2.0/24"], "l4.dport": [80, "1000-2000"]}, "class": 7}]
    }
    assert d.expect[0].chain == "inbound" and d.expect[0].port == "lan"
    wan = d.testbed.ports["wan"]
    assert wan.addresses == ("192.0.2.1/24",) and wan.routes == (("203.0.113.0/24", "192.0.2.9"),)
    assert wan.neighbours == {"192.0.2.9": "02:00:00:00:00:09"}


def test_a_template_keeps_references_and_fills_in_defaults(site):
    wall = site.load().instances[0].vnf
    assert wall.nodes[0].arguments == {"rules": Reference("rules"), "idle": 30 * 10**9}
    assert wall.nodes[1].arguments == {"rules": [], "idle": 300 * 10**9}
    assert wall.entry == {"forward": "first", "reverse": "first"}
    assert [(k.source, k.outcome, k.target) for k in wall.links] == [
        ("first", "NEXT", "second"), ("first", "unsure", "exit"), ("second", "NEXT", "exit")
    ]  # fmt: skip


def test_omitted_links_follow_the_file(site):
    links = "links:\n  - first -> second\n  - first.unsure -> exit\n  - second -> exit\n"
    wall = site.change("vnfs/wall.yaml", links, "entry: {forward: first, reverse: second}\n").load().instances[0].vnf
    assert [VnfLink(k.source, k.outcome, k.target) for k in wall.links] == [
        VnfLink("first", "NEXT", "second"),
        VnfLink("second", "NEXT", "exit"),
    ]
    assert wall.entry == {"forward": "first", "reverse": "second"}


def test_tables_take_defaults_of_their_kind(site):
    rules, flows, sizes = site.load().instances[0].vnf.nodes[0].mnf.tables
    assert (rules.key, rules.filled_by, rules.scope, rules.entries) == (("ip.src", "l4.dport"), "operator", "host", "rules")
    assert (flows.key, flows.filled_by, flows.scope, flows.when_full, flows.keep) == ("flow", "packets", "host", "evict", True)
    assert (sizes.size, sizes.scope, sizes.value, sizes.buckets) == (3, "cpu", "u64", (64, 128))


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("{out: lan}", "out:lan"),
        ('"out: lan"', "out:lan"),
        ('"out:lan"', "out:lan"),
        ("route", "route"),
        ("reflect", "reflect"),
        ("drop", "drop"),
    ],
)
def test_then_has_one_canonical_form(site, text, then):
    assert site.change("chain.yaml", "then: {out: lan}", f"then: {text}").load().chains[0].then == then


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("eth.type: arp", ("arp",)),
        ("eth.type: 2054", ("arp",)),
        ("vlan.id: [1, 4095]", (1, 4095)),
        ("ip.version: 6", (6,)),
        ("ip.src: 198.51.100.7", ("198.51.100.7/32",)),
        ('ip.dst: ["2001:DB8::7", 10.0.0.0/8]', ("2001:db8::7/128", "10.0.0.0/8")),
        ("ip.proto: [6, tcp, 200]", ("tcp", "200")),
        ("ip.dscp: 46", (46,)),
        ("l4.dport: [80, 443-443, 1000-2000]", (80, 443, "1000-2000")),
        ('eth.src: "02:00:00:00:00:BD"', ("02:00:00:00:00:bd",)),
    ],
)
def test_match_values_have_one_spelling(site, text, value):
    match = site.change("chain.yaml", "match: {ip.proto: tcp}", f"match: {{{text}}}").load().chains[0].match
    assert list(match.values()) == [value]


def test_an_empty_match_takes_all_ip(site):
    assert site.change("chain.yaml", "{ip.proto: tcp}", "{}").load().chains[0].match == {}


def test_a_backend_without_an_address_of_a_family_has_the_unspecified_one(tmp_path):
    from ebpfnf.spec import values, yaml
    from ebpfnf.spec.problems import Problems

    problems = Problems()
    node = yaml.parse(b"- {v4: 10.1.0.11, port: 8080}\n- {v6: 2001:db8::1, port: 80}", "x", problems)
    assert values.read("backends", "list[backend]", node, problems) == [
        {"v4": "10.1.0.11", "v6": "::", "port": 8080},
        {"v4": "::", "v6": "2001:db8::1", "port": 80},
    ]


MNFS = sorted(path.parent.name for path in (ROOT / "ebpfnf/progs").glob("*/mnf.yaml"))
VNFS = sorted(path.stem for path in (ROOT / "ebpfnf/vnfs").glob("*.yaml"))


@pytest.mark.parametrize("name", MNFS)
def test_every_built_in_mnf_loads(name):
    assert spec.load_mnf(ROOT / "ebpfnf/progs" / name).name == name


@pytest.mark.parametrize("name", VNFS)
def test_every_built_in_template_loads(name):
    assert spec.load_vnf(ROOT / "ebpfnf/vnfs" / f"{name}.yaml").name == name


def test_the_router_is_there_for_then_route():
    assert spec.router().nodes[1].mnf.name == "route"


def test_fields_are_typed():
    fields = spec.fields()
    assert fields.header["ip.src"].write and fields.header["ip.src"].type == "prefix" and fields.header["ip.ttl"].match == "no"
    assert fields.metadata["dir"].by_parse and not fields.metadata["hash"].by_parse


def test_schemas_describe_the_three_files():
    import json

    schemas = spec.schema()
    assert set(schemas) == {"chain.yaml", "vnf.yaml", "mnf.yaml"}
    for schema in schemas.values():
        assert schema["additionalProperties"] is False and json.loads(json.dumps(schema)) == schema
    port = schemas["chain.yaml"]["$defs"]["PortShape"]["properties"]["interface"]
    assert port["pattern"].startswith("^") and port["pattern"].endswith("$")
