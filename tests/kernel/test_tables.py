"""Every kind of table as a body sees it and as the agent fills it: the same bytes, the same meaning, counted where full."""

from __future__ import annotations

import pytest

from ebpfnf.agent import tables as agent
from ebpfnf.errors import TableError
from ebpfnf.tables import maglev
from tests.kernel import table_rig
from tests.kernel.table_rig import Record, Rig, table

pytestmark = pytest.mark.kernel


@pytest.fixture(params=["kernel", "auto"], autouse=True)
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test holds whatever stands behind the tables."""
    monkeypatch.setattr(table_rig, "MODE", request.param)


FLOW = [["last_seen", "u64"], ["hits", "u16"]]
CONNECTIONS = """
PROGRAM(touch) { in->out[0] = s_flows_touch(&pkt->flow, &(struct s_flows_value){ .last_seen = in->argument, .hits = 3 }); }
PROGRAM(look) { s_flows_v *v = s_flows_lookup(&pkt->flow); in->out[0] = v ? v->last_seen : 0; in->out[1] = v ? v->hits : 0; }
PROGRAM(drop) { in->out[0] = s_flows_delete(&pkt->flow); }
"""


def test_connections_are_made_found_overwritten_and_deleted() -> None:
    """A second touch overwrites; IPv4 and IPv6 flows are told apart; the agent reads them as text."""
    flows = table("flows", "connections", key="flow", value=FLOW, size=64, filled_by="packets", when_full="evict")
    six = Record(saddr="2001:db8::1", daddr="2001:db8::2", sport=1, dport=2, proto=17)
    with Rig([flows], CONNECTIONS, ["touch", "look", "drop"]) as rig:
        assert rig.run(argument=0, program="look")[0] == 0
        assert rig.run(argument=7, program="touch")[0] == 0
        assert rig.run(six, 9, "touch")[0] == 0
        assert rig.run(argument=8, program="touch")[0] == 0
        assert rig.run(program="look")[:2] == (8, 3)
        assert dict(agent.dump(flows, rig.maps["flows"])) == {
            "tcp 192.0.2.1:0 > 198.51.100.7:0": {"last_seen": 8, "hits": 3},
            "udp [2001:db8::1]:1 > [2001:db8::2]:2": {"last_seen": 9, "hits": 3},
        }
        assert agent.get(flows, rig.maps["flows"], "udp [2001:db8::1]:1 > [2001:db8::2]:2") == {"last_seen": 9, "hits": 3}
        assert rig.run(six, program="drop")[0] == 0
        assert rig.run(six, program="drop")[0] != 0
        expected = {"created": 2, "full": 0, "deleted": 1, "present": 1, "evicted": 0}
        assert agent.statistics(flows, rig.maps["flows"], rig.stats["flows"]) == expected


def test_when_full_refuse_counts_what_had_no_room_and_evict_what_had_to_go() -> None:
    """Semantics 19: both are counted, and both keep the books: created = present + deleted + evicted."""
    for when_full in ("refuse", "evict"):
        flows = table("flows", "connections", key="flow", value=FLOW, size=64, filled_by="packets", when_full=when_full)
        with Rig([flows], CONNECTIONS, ["touch", "look", "drop"]) as rig:
            results = [rig.run(Record(sport=port), 5, "touch")[0] for port in range(1000)]
            got = agent.statistics(flows, rig.maps["flows"], rig.stats["flows"])
            assert got["created"] + got["full"] == 1000
            assert got["created"] == got["present"] + got["evicted"]
            assert sum(1 for r in results if r) == got["full"]
            assert (got["full"], got["evicted"]) == ((1000 - got["present"], 0) if when_full == "refuse" else (0, 1000 - got["present"]))


def test_what_a_person_adds_or_removes_does_not_look_evicted() -> None:
    """The agent notes its own changes beside those of packets."""
    flows = table("flows", "connections", key="flow", value=FLOW, size=64, filled_by="packets", when_full="evict")
    with Rig([flows], CONNECTIONS, ["touch", "look", "drop"]) as rig:
        live, stats = rig.maps["flows"], rig.stats["flows"]
        rig.run(argument=1, program="touch")
        agent.set(flows, live, "udp 192.0.2.9:1 > 192.0.2.8:2", {"last_seen": 1, "hits": 0}, stats)
        assert agent.delete(flows, live, "tcp 192.0.2.1:0 > 198.51.100.7:0", stats)
        assert not agent.delete(flows, live, "tcp 192.0.2.1:0 > 198.51.100.7:0", stats)
        assert agent.statistics(flows, live, stats) == {"created": 2, "full": 0, "deleted": 1, "present": 1, "evicted": 0}


def test_exact_keys_are_compared_field_by_field_whatever_stands_in_their_padding() -> None:
    """A record as key has padding in C; what the stack held there must not decide whether a key is found."""
    seen = table(
        "seen", "exact", key=[["mac", "mac"], ["port", "be16"], ["ip", "ip"]], value=[["kind", "enum[plain,strange]"], ["ip", "ip"]],
        filled_by="packets", when_full="refuse",
    )  # fmt: skip
    body = """
PROGRAM(put) {
	struct s_seen_key key;
	__builtin_memset(&key, in->argument, sizeof(key));
	key.mac = pkt->eth_src; key.port = pkt->flow.dport; key.ip = pkt->flow.saddr;
	in->out[0] = s_seen_update(&key, &(struct s_seen_value){ .kind = s_KIND_STRANGE, .ip = pkt->flow.daddr });
}
PROGRAM(forget) {
	struct s_seen_key key;
	__builtin_memset(&key, 0x55, sizeof(key));
	key.mac = pkt->eth_src; key.port = pkt->flow.dport; key.ip = pkt->flow.saddr;
	in->out[0] = s_seen_delete(&key);
}
"""
    with Rig([seen], body, ["put", "forget"]) as rig:
        for fill in (0, 0xFF, 0x55):
            assert rig.run(Record(dport=443), fill, "put")[0] == 0
        key = '{"mac":"02:00:00:00:00:01","port":443,"ip":"192.0.2.1"}'
        assert list(agent.dump(seen, rig.maps["seen"])) == [(key, {"kind": "strange", "ip": "198.51.100.7"})]
        assert agent.get(seen, rig.maps["seen"], key) == {"kind": "strange", "ip": "198.51.100.7"}
        assert rig.run(Record(dport=443), program="forget")[0] == 0
        assert not list(agent.dump(seen, rig.maps["seen"]))


def test_the_operators_exact_table_changes_entry_by_entry() -> None:
    """Set, overwrite, delete and the difference from the file."""
    ports = table("ports", "exact", key="be16", value="u8", size=2, entries=(("80", 1),))
    body = "PROGRAM(look) { be16 port = pkt->flow.dport; u8 *v = s_ports_lookup(&port); in->out[0] = v ? *v : 99; }"
    with Rig([ports], body, ["look"]) as rig:
        live = rig.maps["ports"]
        assert [rig.run(Record(dport=p))[0] for p in (80, 81)] == [1, 99]
        assert agent.diff(ports, live, ports.entries) == ""
        agent.set(ports, live, "81", 5)
        agent.set(ports, live, 80, 2)
        assert [rig.run(Record(dport=p))[0] for p in (80, 81)] == [2, 5]
        assert agent.diff(ports, live, ports.entries) == "'81' is live only, '80' differs"
        with pytest.raises(TableError, match="is full: no room for '82', it holds 2"):
            agent.set(ports, live, "82", 5)
        assert agent.delete(ports, live, "80") and not agent.delete(ports, live, "80")
        assert agent.diff(ports, live, ports.entries) == "'81' is live only, '80' is in the file only"
        with pytest.raises(TableError, match="key 'http': wanted a whole number from 0 to 65535"):
            agent.get(ports, live, "http")


def test_prefixes_match_longest_first_and_each_family_by_itself() -> None:
    """::/0 takes no IPv4 address although IPv4 is ::ffff:a.b.c.d in the record."""
    entries = (("::/0", 6), ("10.0.0.0/8", 8), ("10.1.0.0/16", 16), ("2001:db8::/32", 32), ("10.1.2.3/32", 1))
    nets = table("nets", "prefix", value="u32", entries=entries)
    body = "PROGRAM(look) { u32 *v = s_nets_lookup(&pkt->flow.saddr); in->out[0] = v ? *v : 99; }"
    with Rig([nets], body, ["look"]) as rig:
        found = {a: rig.run(Record(saddr=a))[0] for a in ("192.0.2.1", "10.9.9.9", "10.1.9.9", "10.1.2.3", "2001:db8::1", "2001:db9::1")}
        assert found == {"192.0.2.1": 99, "10.9.9.9": 8, "10.1.9.9": 16, "10.1.2.3": 1, "2001:db8::1": 32, "2001:db9::1": 6}
        assert agent.diff(nets, rig.maps["nets"], entries) == ""
        agent.set(nets, rig.maps["nets"], "0.0.0.0/0", 4)
        assert rig.run(Record(saddr="192.0.2.1"))[0] == 4
        assert agent.delete(nets, rig.maps["nets"], "10.1.0.0/16")
        assert rig.run(Record(saddr="10.1.9.9"))[0] == 8


def test_many_prefixes_are_filled() -> None:
    """10,000 entries go in and are all there."""
    entries = tuple((f"10.{i >> 8}.{i & 255}.0/24", i) for i in range(10_000))
    nets = table("nets", "prefix", value="u32", size=10_000, entries=entries)
    body = "PROGRAM(look) { u32 *v = s_nets_lookup(&pkt->flow.saddr); in->out[0] = v ? *v : 99999; }"
    with Rig([nets], body, ["look"]) as rig:
        assert rig.run(Record(saddr="10.39.15.77"))[0] == 9999
        assert agent.diff(nets, rig.maps["nets"], entries) == ""


@pytest.mark.parametrize("mode", ["kernel", "direct"])
@pytest.mark.parametrize("scope", ["cpu", "host"])
def test_counters_add_each_field_and_ignore_what_is_outside(scope: str, mode: str) -> None:
    """Read as sums over the CPUs; only entries that counted are dumped. An index that the compiler knows is no exception."""
    more = {"size": 4, "filled_by": "packets", "scope": scope, "mode": mode}
    counts = table("counts", "counter", value=[["packets", "u64"], ["bytes", "u64"]], **more)
    single = table("single", "counter", value="u64", **more)
    body = """
PROGRAM(add) {
	s_counts_add(in->argument, &(struct s_counts_value){ .packets = 1, .bytes = 60 });
	s_single_add(in->argument, 5);
}
PROGRAM(known) {
	s_single_add(2, 7);
	s_single_add(4, 7);
	s_single_add(~0U, 7);
}
"""
    with Rig([counts, single], body, ["add", "known"]) as rig:
        for index in (0, 3, 3, 4, 1 << 31):
            rig.run(argument=index)
        assert dict(agent.dump(counts, rig.maps["counts"])) == {"0": {"packets": 1, "bytes": 60}, "3": {"packets": 2, "bytes": 120}}
        assert dict(agent.dump(single, rig.maps["single"])) == {"0": 5, "3": 10}
        rig.run(program="known")
        assert dict(agent.dump(single, rig.maps["single"])) == {"0": 5, "2": 7, "3": 10}
        assert agent.get(counts, rig.maps["counts"], "3") == {"packets": 2, "bytes": 120}
        assert agent.delete(counts, rig.maps["counts"], "3")
        assert agent.get(counts, rig.maps["counts"], "3") == {"packets": 0, "bytes": 0}
        with pytest.raises(TableError, match="wanted a number from 0 to 3"):
            agent.get(counts, rig.maps["counts"], "4")
        with pytest.raises(TableError, match="counted by packets"):
            agent.set(counts, rig.maps["counts"], "1", {"packets": 1, "bytes": 1})


@pytest.mark.parametrize("scope", ["cpu", "host"])
def test_a_histogram_counts_up_to_each_bound_inclusive(scope: str) -> None:
    """The bounds themselves, one above, 0 and what has the highest bit set."""
    sizes = table("sizes", "histogram", size=4, buckets=(64, 127, 1518), filled_by="packets", scope=scope)
    with Rig([sizes], "PROGRAM(note) { s_sizes_record(in->argument); }", ["note"]) as rig:
        for value in (0, 64, 65, 127, 128, 1518, 1519, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
            rig.run(argument=value)
        assert dict(agent.dump(sizes, rig.maps["sizes"])) == {"0-64": 2, "65-127": 2, "128-1518": 2, "1519-": 4}
        assert agent.get(sizes, rig.maps["sizes"], "65-127") == 2


def test_consistent_hash_picks_as_the_model_and_moves_little_when_one_goes() -> None:
    """The program and Maglev's table agree on every hash; without one entry, the others keep nearly all of theirs."""
    value = [["index", "u16"], ["v4", "ip"], ["port", "port"]]
    entries = tuple((str(n), {"index": n, "v4": f"10.1.0.{n}", "port": 8080}) for n in range(1, 6))
    backends = table("backends", "consistent_hash", value=value, entries=entries)
    body = """
PROGRAM(pick) {
	s_backends_v *v = s_backends_pick(in->argument);
	in->out[0] = v ? v->index : 0;
	in->out[1] = v ? v->v4.b[15] : 0;
}
"""
    hashes = [n * 0x9E3779B1 & 0xFFFFFFFF for n in range(4000)]
    with Rig([backends], body, ["pick"]) as rig:
        live = rig.maps["backends"]
        slots = maglev.fill({n: maglev.identity(v) for n, v in ((int(k), v) for k, v in entries)})
        before = [rig.run(argument=h)[:2] for h in hashes]
        assert before == [(slots[h % maglev.SLOTS],) * 2 for h in hashes]
        assert agent.delete(backends, live, "3")
        after = [rig.run(argument=h)[0] for h in hashes]
        moved = sum(1 for (b, _), a in zip(before, after, strict=True) if b != 3 and a != b)
        assert 3 not in after and moved < 0.05 * len(hashes)
        assert agent.diff(backends, live, entries) == "'3' is in the file only"
        agent.set(backends, live, "3", entries[2][1])
        assert [rig.run(argument=h)[0] for h in hashes] == [b for b, _ in before]
        for n in range(1, 6):
            agent.delete(backends, live, str(n))
        assert rig.run(argument=5)[0] == 0
        with pytest.raises(TableError, match="key '65': wanted a number from 1 to 64"):
            agent.set(backends, live, "65", entries[0][1])
