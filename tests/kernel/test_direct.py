"""Direct tables of prefixes and keys: what is found, and changes under traffic."""

from __future__ import annotations

import ipaddress
import random
import struct
import time

import pytest

from ebpfnf.agent import direct
from ebpfnf.agent import tables as agent
from ebpfnf.tables.layout import encode_key
from tests.kernel.table_rig import Record, Rig, address, table, traffic

pytestmark = pytest.mark.kernel

LOOK = "PROGRAM(look) { u32 *v = s_%s_lookup(&pkt->flow.saddr); in->out[0] = v ? *v : 0; }"


# ---------------------------------------------------------------- prefixes


@pytest.mark.parametrize("count", [40, 256, 5000])
def test_prefixes_that_nest_and_stand_alone_are_found_as_the_text_says(count: int) -> None:
    """Against a plain search over lengths: small and large roots, both IP versions, every length."""
    draw = random.Random(count)
    nets: dict[str, int] = {}
    while len(nets) < count:
        nets[anything(draw)] = len(nets) + 1
    given = table("nets", "prefix", size=count, entries=tuple(nets.items()), mode="direct")
    with Rig([given], LOOK % "nets", ["look"]) as rig:
        for _ in range(5000):
            net = ipaddress.ip_network(draw.choice(list(nets)) if draw.random() < 0.8 else anything(draw))
            host = net.network_address + draw.randrange(min(net.num_addresses, 1 << 20))
            around = (str(ipaddress.ip_network(f"{host}/{length}", strict=False)) for length in range(host.max_prefixlen, -1, -1))
            wanted = next((nets[one] for one in around if one in nets), 0)
            assert rig.run(Record(saddr=str(host)))[0] == wanted, (host, wanted)
        assert agent.diff(given, rig.maps["nets"], nets.items()) == ""


def anything(draw: random.Random) -> str:
    six = draw.random() < 0.5
    width = 128 if six else 32
    length = draw.randrange(width + 1)
    bits = draw.getrandbits(width) if draw.random() < 0.5 else address(draw, six)
    kind = ipaddress.IPv6Address if six else ipaddress.IPv4Address
    net = f"{kind(bits >> width - length << width - length)}/{length}"
    return "::/0" if net.startswith("::ffff:") else net


# ---------------------------------------------------------------- exact keys


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 6, 700])
def test_exact_keys_are_found_and_no_others(count: int) -> None:
    """However few they are, and however often they have changed; nought, which empty places hold, is a key like any other."""
    keys = random.Random(count).sample(range(1, 5000), count)
    numbers = table("numbers", "exact", key="u32", value="u32", size=1000, entries=tuple((str(k), k + 1) for k in keys), mode="direct")
    body = """PROGRAM(find) {
	u32 key = in->argument, *found = s_numbers_lookup(&key);

	in->out[0] = found ? *found : 0;
}"""
    with Rig([numbers], body, ["find"]) as rig:

        def found() -> dict[int, int]:
            return {k: value for k in range(5000) if (value := rig.run(argument=k)[0])}

        there = {k: k + 1 for k in keys}
        assert found() == there
        for key in [0, *keys[:2]]:
            agent.set(numbers, rig.maps["numbers"], str(key), 9)
            there[key] = 9
        assert found() == there
        for key in (0, *keys[1:3]):
            assert agent.delete(numbers, rig.maps["numbers"], str(key))
            del there[key]
        assert found() == there


# ---------------------------------------------------------------- changes under traffic


def test_packets_see_an_entry_as_it_was_or_as_it_is() -> None:
    """Values of one word that says both halves: never one of each, never none while the table always has an answer."""
    pairs = [["a", "u64"], ["b", "u64"]]
    look = "{ struct s_%s_value *v = s_%s_lookup(%s); in->out[0] = v ? v->a : 0; in->out[1] = v ? v->b : 0; }"
    nets = table("nets", "prefix", value=pairs, entries=(("192.0.0.0/8", {"a": 1, "b": 1}),), mode="direct")
    hosts = table("hosts", "exact", key="ip", value=pairs, entries=(("192.0.2.1", {"a": 1, "b": 1}),), mode="direct")
    body = "".join(f"PROGRAM({name}) " + look % (name, name, "&pkt->flow.saddr") for name in ("nets", "hosts"))
    with Rig([nets, hosts], body, ["nets", "hosts"]) as rig:
        for name, given, key in (("nets", nets, "192.0.0.0/8"), ("hosts", hosts, "192.0.2.1")):
            with traffic(lambda name=name: rig.run(program=name)[:2]) as seen:  # type: ignore[misc]
                for turn in range(2, 12):
                    agent.set(given, rig.maps[name], key, {"a": turn, "b": turn})
            assert all(a == b and a for a, b in seen) and len(seen) > 3, seen


def test_a_packet_that_takes_long_sees_one_half_however_fast_changes_follow_each_other() -> None:
    """A change returns before the grace period has ended; the next one must not write what a packet may still be looking at."""
    slow = """PROGRAM(slow) {
	volatile u64 *v = (void *)s_nets_lookup(&pkt->flow.saddr);
	u64 first = v ? *v : 0, other = 0;

	for (u32 turn = 0; v && turn < 40000; turn++)
		other |= *v ^ first;
	in->out[0] = first;
	in->out[1] = other;
}"""
    net = "192.0.0.0/8"
    nets = table("nets", "prefix", value="u64", entries=((net, 1),), mode="direct")
    with Rig([nets], slow, ["slow"]) as rig:
        key, area = encode_key(nets, net), direct.Area(nets, rig.maps["nets"])
        halves = [direct.half(nets, {key: struct.pack("=Q", n)}, ()) for n in range(2, 32)]
        with traffic(lambda: rig.run()[:2]) as seen:
            for half in halves:
                area.turn(area.state(), half, b"")
        assert len(seen) > 3 and {other for _, other in seen} == {0}, seen
        assert agent.diff(nets, rig.maps["nets"], [(net, 31)]) == ""
        until = time.monotonic() + 10
        while area.settled() != area.state():  # the note that spares the next change the wait
            assert time.monotonic() < until
