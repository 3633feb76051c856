"""Rules: what the program takes is what an independent reading of their text takes, and changes are whole."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ebpfnf import pipeline
from ebpfnf.agent import tables as agent
from ebpfnf.agent.load import HostFacts, load
from ebpfnf.errors import TableError
from ebpfnf.kernel import programs
from ebpfnf.tables.types import ip_bytes
from tests.kernel import table_rig
from tests.kernel.table_rig import FIELDS, Record, Rig, table
from tests.models.classify import rule_fits

pytestmark = pytest.mark.kernel


@pytest.fixture(params=["kernel", "auto"], autouse=True)
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test holds whatever stands behind the tables."""
    monkeypatch.setattr(table_rig, "MODE", request.param)


VALUE = [["action", "enum[allow,deny]"], ["class", "u16"]]
TUPLE = ("ip.version", "ip.src", "ip.dst", "ip.proto", "ip.dscp", "l4.sport", "l4.dport", "tcp.flags")
FRAME = ("eth.src", "eth.dst", "eth.type", "vlan.id")
MATCH = "PROGRAM(match) { s_rules_v *v = s_rules_match(pkt); in->out[0] = v ? v->class : 0; in->out[1] = v ? v->action : 9; }"

_NETS = ("192.0.2.0/24", "192.0.2.1", "10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "2001:db8::1", "fe80::/10", "128.0.0.0/1")
_ADDRESSES = ("192.0.2.1", "192.0.2.200", "10.9.8.7", "203.0.113.1", "2001:db8::1", "2001:db8:ffff::9", "fe80::1", "::1")
_VALUES: dict[str, Sequence[Any]] = {
    "eth.src": ("02:00:00:00:00:01", "02:00:00:00:00:bd", "02:00:00:00:00:00/40", "00:00:00:00:00:00/0"),
    "eth.dst": ("02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"),
    "eth.type": ("ip", "ipv6", "arp", 0x88CC), "vlan.id": (1, 4095), "ip.version": (4, 6), "ip.src": _NETS, "ip.dst": _NETS,
    "ip.proto": ("tcp", "udp", "icmpv6", "200"), "ip.dscp": (0, 46), "l4.sport": (0, 80, "1024-65535", "0-65535"),
    "l4.dport": (80, 443, "1-1023"), "tcp.flags": ("syn,!ack", "!rst", "ack", 2), "m.in_port": (1, 2),
}  # fmt: skip


def entries(*rules: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Rules numbered 10, 20, ... whose class is their place from 1."""
    return tuple(
        (str(10 * n), {"match": {k: v if isinstance(v, list) else [v] for k, v in rule.items()}, "action": "deny", "class": n})
        for n, rule in enumerate(rules, 1)
    )


def random_record(draw: random.Random) -> Record:
    """A record as the parser could leave it."""
    version = draw.choice((4, 6, 0))
    addresses = [a for a in _ADDRESSES if (":" in a) == (version == 6)] if version else ["::"]
    proto = draw.choice((6, 17, 58, 200)) if version else 0
    l4 = version and proto in (6, 17) and draw.random() < 0.8
    vlan = draw.choice((0, 0, 1, 4095))
    have = 1 | (2 if vlan else 0) | (4 if version else 0) | (8 if l4 else 0) | (16 if l4 and proto == 6 else 0)
    return Record(
        saddr=draw.choice(addresses), daddr=draw.choice(addresses), proto=proto, vlan_id=vlan, have=have, ip_version=version,
        sport=draw.choice((0, 80, 1024, 65535)) if l4 else 0, dport=draw.choice((1, 80, 443, 1024)) if l4 else 0,
        tcp_flags=draw.choice((2, 16, 18, 4)) if l4 and proto == 6 else 0, dscp=draw.choice((0, 46)) if version else 0,
        eth_src=draw.choice(("02:00:00:00:00:01", "02:00:00:00:00:bd", "02:00:00:00:01:01")), eth_dst=draw.choice(_VALUES["eth.dst"]),
        eth_type={4: 0x0800, 6: 0x86DD, 0: draw.choice((0x0806, 0x88CC))}[version], in_port=draw.choice((1, 2)),
    )  # fmt: skip


def reference(rules: Sequence[tuple[str, Any]], record: Record) -> int:
    """The class of the first rule that fits, 0 for none."""
    sight = {name: getattr(record, name.partition(".")[2] if name != "tcp.flags" else "tcp_flags", None) for name in FIELDS}
    sight |= {
        "eth.src": bytes.fromhex(record.eth_src.replace(":", "")), "eth.dst": bytes.fromhex(record.eth_dst.replace(":", "")),
        "eth.type": record.eth_type, "vlan.id": record.vlan_id, "ip.version": record.ip_version, "ip.src": ip_bytes(record.saddr),
        "ip.dst": ip_bytes(record.daddr), "m.in_port": record.in_port,
    }  # fmt: skip
    packet: Any = SimpleNamespace(
        have=record.have, v4=record.ip_version == 4, parsed=SimpleNamespace(ip_version=record.ip_version), get=sight.__getitem__
    )
    return next((entry["class"] for _, entry in rules if rule_fits(entry["match"], packet)), 0)


def can_match(match: Mapping[str, Sequence[Any]]) -> bool:
    """Whether one IP version fits all of it."""
    named = [(k, match[k]) for k in ("ip.version", "ip.src", "ip.dst") if k in match]
    sets = [{int(v) if key == "ip.version" else 6 if ":" in v else 4 for v in values} for key, values in named]
    return not sets or bool(set.intersection(*sets))


@pytest.mark.parametrize("fields", [TUPLE, FRAME, tuple(FIELDS), ("ip.dst",), ("l4.dport", "ip.src")])
def test_programs_take_what_the_text_says(fields: tuple[str, ...]) -> None:
    """Random rules with lists, masks and ranges, random records: first match as an independent reading has it."""
    draw = random.Random(repr(fields))
    rules = []
    while len(rules) < 25:
        names = draw.sample(fields, draw.randint(0, min(3, len(fields))))
        rule = {name: draw.sample(list(_VALUES[name]), draw.randint(1, 2)) for name in names}
        if can_match(rule) and (rule or len(rules) > 20):
            rules.append(rule)
    said = entries(*rules)
    acl = table("rules", "acl", fields=fields, value=VALUE, size=1024, entries=said)
    hits = set()
    with Rig([acl], MATCH, ["match"]) as rig:
        for _ in range(3000):
            record = random_record(draw)
            wanted = reference(said, record)
            hits.add(wanted)
            assert rig.run(record)[0] == wanted, (record, said)
        assert agent.diff(acl, rig.maps["rules"], said) == ""
    assert len(hits) > 3


def test_no_rules_match_nothing_and_a_table_that_was_never_filled_too() -> None:
    """An empty list is not a rule that fits all; the agent says where a table has no contents at all."""
    acl = table("rules", "acl", fields=TUPLE, value=VALUE, size=1024)
    with Rig([acl], MATCH, ["match"]) as rig:
        assert rig.run()[:2] == (0, 9)
        assert list(agent.dump(acl, rig.maps["rules"])) == []
    with Rig([acl], MATCH, ["match"], filled=False) as rig:
        assert rig.run()[:2] == (0, 9)
        with pytest.raises(TableError, match="was never filled"):
            agent.get(acl, rig.maps["rules"], "10")


def test_rules_change_one_by_one_and_keep_their_order() -> None:
    """Numbers give the order: a rule put before another decides before it."""
    said = entries({"ip.src": "192.0.2.0/24"}, {})
    acl = table("rules", "acl", fields=TUPLE, value=VALUE, size=1024, entries=said)
    with Rig([acl], MATCH, ["match"]) as rig:
        live = rig.maps["rules"]
        assert rig.run()[:2] == (1, 1)
        agent.set(acl, live, "5", {"match": {"ip.src": "192.0.2.1"}, "action": "allow", "class": 77})
        assert rig.run()[:2] == (77, 0)
        assert agent.get(acl, live, "5") == {"match": {"ip.src": ["192.0.2.1/32"]}, "action": "allow", "class": 77}
        assert agent.diff(acl, live, said) == "'5' is live only"
        assert agent.delete(acl, live, "5") and agent.delete(acl, live, "10") and not agent.delete(acl, live, "10")
        assert rig.run()[:2] == (2, 1)
        assert [key for key, _ in agent.dump(acl, live)] == ["20"]


def deny(match: Any) -> dict[str, Any]:
    return {"match": match, "action": "deny", "class": 0}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (deny({"ip.sec": ["10.0.0.0/8"]}), "'ip.sec' is not among the fields of this table: ip.version, ip.src"),
        (deny({"ip.src": ["10.0.0.1/8"]}), "'ip.src': wanted an IPv4 or IPv6 prefix without host bits"),
        (deny({"ip.src": ["10.0.0.0/8"], "ip.dst": ["::1"]}), "can't match: it wants both IPv4 and IPv6"),
        (deny({"l4.dport": ["90-80"]}), "'l4.dport': wanted a port from 0 to 65535, or a range"),
        (deny({"l4.dport": []}), "'l4.dport' has no values"),
        (deny({"tcp.flags": ["syn,!syn"]}), "'tcp.flags': wanted TCP flags such as 'syn,!ack'"),
        (deny({"ip.dscp": [64]}), "'ip.dscp': wanted a whole number from 0 to 63"),
        ({**deny({}), "action": "denie"}, "wanted 'action': one of allow, deny"),
        ({"match": {}, "action": "deny"}, "'class' is missing"),
        ({"action": "deny", "class": 1}, "wanted a rule such as"),
        ("deny all", "wanted a rule such as"),
    ],
)
def test_a_wrong_rule_changes_nothing_and_says_what_was_wanted(value: Any, words: str) -> None:
    """Before anything is written."""
    acl = table("rules", "acl", fields=TUPLE, value=VALUE, size=1024, entries=entries({}))
    with Rig([acl], MATCH, ["match"]) as rig:
        with pytest.raises(TableError) as caught:
            agent.set(acl, rig.maps["rules"], "30", value)
        assert words in str(caught.value)
        assert agent.diff(acl, rig.maps["rules"], acl.entries) == ""


def test_packets_see_all_old_rules_or_all_new_ones() -> None:
    """Twenty swaps while packets run: each packet is taken by the one set of rules or by the other, none by neither."""
    said = entries({"l4.dport": 1}, {})
    acl = table("rules", "acl", fields=TUPLE, value=VALUE, size=1024, entries=said)
    with Rig([acl], MATCH, ["match"]) as rig:
        seen, stop = set(), threading.Event()

        def packets() -> None:
            while not stop.is_set():
                seen.add(rig.run(Record(dport=1))[0])

        runner = threading.Thread(target=packets)
        runner.start()
        try:
            for turn in range(20):
                agent.fill(acl, rig.maps["rules"], entries({"l4.dport": 2}, {}) if turn % 2 else said)
        finally:
            stop.set()
            runner.join()
        assert seen == {1, 2}, "rule 1 took it, or in the other set rule 2; never none"


def test_more_rules_than_there_is_room_for_are_refused_with_their_number() -> None:
    """A live table has the room that it was deployed with."""
    acl = table("rules", "acl", fields=TUPLE, value=VALUE, size=1024, entries=entries({}))
    ports = [*range(1, 130, 2)]
    with Rig([acl], MATCH, ["match"]) as rig, pytest.raises(TableError, match="the rules became 66 records, the table holds 64"):
        agent.set(acl, rig.maps["rules"], "30", {"match": {"l4.dport": ports}, "action": "deny", "class": 1})


@pytest.mark.parametrize("count", [40, 1000])
def test_the_verifiers_work_grows_no_faster_than_the_rules(count: int) -> None:
    """What follows the match is looked at once, not once for each record: 1024 records stay far below a million instructions."""
    acl = table("rules", "acl", fields=TUPLE, value=VALUE, size=1024, entries=entries(*({"l4.dport": n} for n in range(1, count + 1))))
    after = MATCH.replace("v->action : 9;", "v->action : 9; if (v && v->class == 7) in->out[2] = 1;")
    with Rig([acl], after, ["match"]) as rig:
        assert rig.run(Record(dport=count))[0] == count
        assert rig.run(Record(dport=7))[2] == 1
        work = programs.info(rig.fds["match"]).verified_insns
        assert work < (40_000 if acl.slots else 80 * 1024 if count > 256 else 140 * 64), work


def test_a_thousand_rules_serve_both_directions_of_a_fused_chain(tmp_path: Path) -> None:
    """The verifier goes through them once a direction, whatever ways lead there: far below its million instructions."""
    rules = "".join(f"      - deny: {{ip.src: 10.{n >> 8}.{n & 255}.0/24, l4.dport: 81}}\n" for n in range(1000))
    (tmp_path / "chain.yaml").write_text(
        "ebpfnf: 1\ndeployment: big\nports:\n  wan: {interface: eth0}\n  lan: {interface: eth1}\nvnfs:\n"
        f"  edge:\n    vnf: edge-firewall\n    default: allow\n    rules:\n{rules}chains:\n"
        "  inbound: {on: wan, match: {}, path: [edge], then: pass}\n"
        "  outbound: {on: lan, direction: reverse, match: {}, path: [edge], then: pass}\n"
    )
    bundle = pipeline.build_file(tmp_path / "chain.yaml")
    assert len(bundle.programs) == 1
    with load(bundle, host=HostFacts.measure({"wan": (1, 65536), "lan": (1, 65536)}), private=True) as loaded:
        assert programs.info(loaded.programs[0]).verified_insns < 250_000
