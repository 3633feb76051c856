"""Direct access lists at the size that they are for: ten thousand rules, lists of values, changes under traffic."""

from __future__ import annotations

import ipaddress
import random
from functools import cache
from typing import Any

import pytest

from ebpfnf.agent import direct
from ebpfnf.agent import tables as agent
from ebpfnf.kernel import programs
from tests.kernel.table_rig import Record, Rig, address, table, traffic

pytestmark = pytest.mark.kernel

TUPLE = ("ip.version", "ip.src", "ip.dst", "ip.proto", "ip.dscp", "l4.sport", "l4.dport", "tcp.flags")
VALUE = [["action", "enum[allow,deny]"], ["class", "u32"]]
MATCH = "PROGRAM(match) { struct s_rules_value *v = s_rules_match(pkt); in->out[0] = v ? v->class : 0; }"


# ---------------------------------------------------------------- ten thousand rules


@cache
def number(text: str) -> tuple[int, int]:
    """(IP version, bits) of an address."""
    parsed = ipaddress.ip_address(text)
    return parsed.version, int(parsed)


@cache
def within(net: str) -> tuple[int, int, int]:
    """(IP version, bits behind the prefix, the prefix)."""
    parsed = ipaddress.ip_network(net)
    shift = parsed.max_prefixlen - parsed.prefixlen
    return parsed.version, shift, int(parsed.network_address) >> shift


class Rules:
    """An independent reading of rules: by source prefix to those that may fit, then what the text says, in order."""

    def __init__(self, matches: list[dict[str, Any]]) -> None:
        self._rest: list[tuple[Any, ...]] = []
        self._by_source: dict[tuple[int, int, int], list[int]] = {}
        self._anywhere: list[int] = []
        for place, match in enumerate(matches):
            if "ip.src" in match:
                self._by_source.setdefault(within(match["ip.src"]), []).append(place)
            else:
                self._anywhere.append(place)
            ports = tuple(tuple(map(int, match[field].split("-"))) if field in match else () for field in ("l4.sport", "l4.dport"))
            target = within(match["ip.dst"]) if "ip.dst" in match else ()
            self._rest.append((target, match.get("ip.proto"), match.get("ip.dscp"), *ports, "tcp.flags" in match))
        self._shifts = sorted({(version, shift) for version, shift, _ in self._by_source})

    def first(self, record: Record) -> int:
        """1-based place of the first that fits, 0 for none."""
        version, source = number(record.saddr)
        target = number(record.daddr)[1]
        may = list(self._anywhere)
        for known, shift in self._shifts:
            if known == version:
                may += self._by_source.get((version, shift, source >> shift), ())
        return next((n + 1 for n in sorted(may) if self._fits(self._rest[n], record, version, target)), 0)

    @staticmethod
    def _fits(rest: tuple[Any, ...], record: Record, version: int, target: int) -> bool:
        to, proto, dscp, sport, dport, begins = rest
        if to and (to[0] != version or target >> to[1] != to[2]):
            return False
        if proto not in (None, record.proto) or dscp not in (None, record.dscp):
            return False
        for wanted, port in ((sport, record.sport), (dport, record.dport)):
            if wanted and not (record.have & 8 and wanted[0] <= port <= wanted[1]):
                return False
        return not begins or (record.proto == 6 and record.tcp_flags & 0x12 == 2)


def ten_thousand(draw: random.Random, count: int = 10_000) -> list[dict[str, Any]]:
    """Prefixes of every length in few blocks, so that they nest and overlap; ranges, protocols, flags; both IP versions."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        six = draw.random() < 0.3
        match: dict[str, Any] = {}
        for field, share in (("ip.src", 0.8), ("ip.dst", 0.6)):
            if draw.random() < share:
                match[field] = network(draw, six)
        for field in ("l4.sport", "l4.dport"):
            if draw.random() < 0.4:
                low = draw.randrange(2000)
                match[field] = f"{low}-{low + draw.choice((0, 0, 7, 500))}"
        if draw.random() < 0.5:
            match["ip.proto"] = draw.choice((6, 17, 132))
        if draw.random() < 0.05:
            match["ip.dscp"] = draw.choice((0, 46))
        if draw.random() < 0.1:
            match["tcp.flags"] = "syn,!ack"
        if (len(match) >= 3 and "ip.src" in match) or len(match) >= 4:
            found.append(match)
    return found


def network(draw: random.Random, six: bool) -> str:
    bits = address(draw, six)
    length = draw.choice((32, 44, 48, 56, 64, 64, 128, 128)) if six else draw.choice((12, 16, 20, 23, 24, 24, 28, 32, 32))
    width = 128 if six else 32
    kind = ipaddress.IPv6Address if six else ipaddress.IPv4Address
    return f"{kind(bits >> width - length << width - length)}/{length}"


def header(draw: random.Random, match: dict[str, Any]) -> Record:
    """Three of four times such as the rule wants it, where that can be told."""
    six = ":" in match.get("ip.src", match.get("ip.dst", ""))
    if draw.random() < 0.25:
        match = {}
    proto = match.get("ip.proto") or draw.choice((6, 6, 17, 132))
    have = 1 | 4 | {6: 8 | 16, 17: 8 | 32}.get(proto, 0)
    ports = [draw.randint(*map(int, match[f].split("-"))) if f in match else draw.randrange(2600) for f in ("l4.sport", "l4.dport")]
    return Record(
        saddr=host(draw, match.get("ip.src", ""), six), daddr=host(draw, match.get("ip.dst", ""), six), proto=proto, have=have,
        ip_version=6 if six else 4, sport=ports[0] if have & 8 else 0, dport=ports[1] if have & 8 else 0,
        tcp_flags=draw.choice((0, 2, 2, 16, 18)) if proto == 6 else 0, dscp=match.get("ip.dscp", draw.choice((0, 0, 46, 10))),
    )  # fmt: skip


def host(draw: random.Random, net: str, six: bool) -> str:
    bits = address(draw, six)
    if net:
        _, shift, prefix = within(net)
        bits = prefix << shift | bits & (1 << shift) - 1
    return str(ipaddress.IPv6Address(bits) if six else ipaddress.IPv4Address(bits))


def entry(number: int, match: dict[str, Any], value: int) -> tuple[str, Any]:
    wanted = {field: [str(said) if field == "ip.proto" else said] for field, said in match.items()}
    return str(number), {"match": wanted, "action": "deny", "class": value}


def test_ten_thousand_rules_decide_a_hundred_thousand_headers_as_their_text_says() -> None:
    """First match, exactly; and again when rules were put between others, replaced and taken away, before and after all is made anew."""
    draw = random.Random(5)
    rules = {10 * k: (match, k) for k, match in enumerate(ten_thousand(draw), 1)}
    said = tuple(entry(number, *rule) for number, rule in rules.items())
    acl = table("rules", "acl", fields=TUPLE, value=VALUE, size=16384, entries=said, mode="direct")
    with Rig([acl], MATCH, ["match"]) as rig:
        assert programs.info(rig.fds["match"]).verified_insns < 80_000
        assert decides(rig, draw, rules, 100_000) > 1000
        live = rig.maps["rules"]
        for turn in range(50):
            number, value = draw.randrange(1, 5000), 20_000 + turn
            if turn % 3 == 2 and number // 10 * 10 in rules:
                assert agent.delete(acl, live, str(number // 10 * 10))
                del rules[number // 10 * 10]
            else:
                match = ten_thousand(draw, 1)[0]
                match.pop("l4.sport", 0)
                rules[number] = (match, value)
                agent.set(acl, live, *entry(number, match, value))
            if turn == 30:
                decides(rig, draw, rules, 5000)
                direct.write(acl, live, direct.read(acl, live))
        decides(rig, draw, rules, 5000)
        assert agent.diff(acl, live, [entry(number, *rule) for number, rule in rules.items()]) == ""


def decides(rig: Rig, draw: random.Random, rules: dict[int, tuple[dict[str, Any], int]], count: int) -> int:
    """Compare so many headers; how many different rules took one."""
    ordered = [rules[number] for number in sorted(rules)]
    reading, hits = Rules([match for match, _ in ordered]), set()
    for _ in range(count):
        record = header(draw, draw.choice(ordered)[0])
        first = reading.first(record)
        wanted = ordered[first - 1][1] if first else 0
        hits.add(wanted)
        assert rig.run(record)[0] == wanted, (record, wanted)
    return len(hits)


# ---------------------------------------------------------------- rules with lists


@pytest.mark.parametrize("count", [12, 45, 300])
def test_rules_with_lists_decide_a_hundred_thousand_headers_as_their_text_says(count: int) -> None:
    """A bit for each: prefixes that lie in one another, ranges that overlap, both IP versions in one list; and after changes."""
    draw = random.Random(count)
    rules = {10 * k: (listed(draw), k) for k in range(1, count + 1)}
    said = tuple(listed_entry(number, *rule) for number, rule in rules.items())
    acl = table("rules", "acl", fields=TUPLE, value=VALUE, size=16384, entries=said, mode="direct")
    assert (acl.slots == 64) == (count < 45)
    with Rig([acl], MATCH, ["match"]) as rig:
        assert lists_decide(rig, draw, rules, 35_000) > count // 3
        live = rig.maps["rules"]
        for turn in range(20):
            number = draw.randrange(1, 10 * count)
            rules[number] = (listed(draw), 1000 + turn)
            agent.set(acl, live, *listed_entry(number, *rules[number]))
            gone = draw.choice(list(rules))
            assert agent.delete(acl, live, str(gone))
            del rules[gone]
        lists_decide(rig, draw, rules, 5000)
        assert agent.diff(acl, live, [listed_entry(number, *rule) for number, rule in rules.items()]) == ""


@pytest.mark.parametrize("count", [40, 100])
def test_a_field_that_no_rule_of_the_file_names_is_looked_at_once_one_does(count: int) -> None:
    """The file names addresses and ports; a DSCP and a flag are named live, and get into the large part."""
    said = [entry(10 * k, {"ip.src": f"10.0.{k}.0/24", "l4.dport": "80-90"}, k) for k in range(1, count + 1)]
    acl = table("rules", "acl", fields=TUPLE, value=VALUE, size=2048, entries=tuple(said), mode="direct")
    with Rig([acl], MATCH, ["match"]) as rig:
        live, sent = rig.maps["rules"], Record(saddr="10.0.7.1", dport=80, dscp=46, tcp_flags=2)
        assert rig.run(sent)[0] == 7
        for number, match in ((5, {"ip.dscp": 46, "tcp.flags": "syn,!ack"}), (6, {"ip.dst": "198.51.100.0/24", "ip.dscp": 10})):
            said.append(entry(number, match, 1000 + number))
            agent.set(acl, live, *said[-1])
        for _ in ("in the small part", "in the large part"):
            seen = [rig.run(Record(saddr="10.0.7.1", dport=80, dscp=dscp, tcp_flags=flags))[0] for dscp in (0, 10, 46) for flags in (2, 16)]
            assert seen == [7, 7, 1006, 1006, 1005, 7]
            direct.write(acl, live, direct.read(acl, live))
        assert agent.diff(acl, live, said) == ""


def listed(draw: random.Random) -> dict[str, list[Any]]:
    """A match whose lists combine to more than records would be taken."""
    nets = [network(draw, draw.random() < 0.3) for _ in range(draw.randint(2, 20))]
    match: dict[str, list[Any]] = {"ip.src": [*nets, draw.choice(("::/0", "10.3.0.0/16", "2001:db8::/32"))]}
    if draw.random() < 0.2:
        match["ip.dst"] = [network(draw, six) for six in (True, False) for _ in range(draw.randint(1, 8))]
    for field in ("l4.sport", "l4.dport"):
        if field == "l4.dport" or draw.random() < 0.2:
            lows = [draw.randrange(2600) for _ in range(draw.randint(1, 20))]
            match[field] = [f"{low}-{low + draw.choice((0, 1, 20))}" for low in lows]
    for field, values in {"ip.proto": (6, 17, 132), "tcp.flags": ("syn,!ack", "!rst", "ack"), "ip.version": (4, 6)}.items():
        if draw.random() < 0.2:
            match[field] = draw.sample(values, draw.randint(1, 2)) if field != "ip.version" else list(values)
    return match


def listed_entry(number: int, match: dict[str, list[Any]], value: int) -> tuple[str, Any]:
    wanted = {field: [str(one) for one in said] if field == "ip.proto" else said for field, said in match.items()}
    return str(number), {"match": wanted, "action": "deny", "class": value}


def lists_decide(rig: Rig, draw: random.Random, rules: dict[int, tuple[dict[str, list[Any]], int]], count: int) -> int:
    """Compare so many headers; how many different rules took one."""
    ordered, hits = [rules[number] for number in sorted(rules)], set()
    for _ in range(count):
        like = {field: draw.choice(said) for field, said in draw.choice(ordered)[0].items()}
        like.pop("ip.dst", None)
        record = header(draw, {field: said for field, said in like.items() if field != "ip.version"})
        wanted = next((value for match, value in ordered if fits_lists(match, record)), 0)
        hits.add(wanted)
        assert rig.run(record)[0] == wanted, (record, wanted)
    return len(hits)


_FLAGS = {"syn,!ack": (0x12, 2), "!rst": (4, 0), "ack": (16, 16)}


def fits_lists(match: dict[str, list[Any]], record: Record) -> bool:
    for field, seen in (("ip.src", record.saddr), ("ip.dst", record.daddr)):
        version, bits = number(seen)
        if field in match and not any(net[0] == version and bits >> net[1] == net[2] for net in map(within, match[field])):
            return False
    for field, port in (("l4.sport", record.sport), ("l4.dport", record.dport)):
        if field in match:
            ranges = (map(int, said.split("-")) for said in match[field])
            if not record.have & 8 or not any(low <= port <= high for low, high in ranges):
                return False
    if "tcp.flags" in match and not (record.proto == 6 and any(record.tcp_flags & m == v for m, v in map(_FLAGS.get, match["tcp.flags"]))):
        return False
    return record.proto in match.get("ip.proto", (record.proto,))


# ---------------------------------------------------------------- changes under traffic


def test_packets_see_a_rule_as_it_was_or_as_it_is_among_thousands() -> None:
    """Replacing a rule is one step: no packet falls through to the rule behind it."""
    said = [entry(10 * k, {"ip.src": f"10.{k >> 8}.{k & 255}.0/24", "l4.dport": "0-65535"}, k) for k in range(1, 1001)]
    said.append(entry(99_999, {}, 9))
    acl = table("rules", "acl", fields=TUPLE, value=VALUE, size=4096, entries=tuple(said), mode="direct")
    with Rig([acl], MATCH, ["match"]) as rig:
        with traffic(lambda: rig.run(Record(saddr="10.1.5.5"))[0]) as seen:
            for turn in range(40):
                agent.set(acl, rig.maps["rules"], *entry(2610, {"ip.src": "10.1.5.0/24"}, 5000 + turn))
        assert seen <= {261, *range(5000, 5040)} and len(seen) > 10, seen
