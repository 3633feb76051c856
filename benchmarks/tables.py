"""What a lookup costs behind each kind of table: kernel maps against direct tables, on keys that vary from packet to packet."""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.measure import Figure, point
from ebpfnf.model import Table
from ebpfnf.tables.layout import kernel_maps
from tests.kernel.table_rig import Rig, table

ROUNDS, REPEAT, CHECKED = 9, 200_000, 2000
_NEXT = """
	u64 r = in->argument += 0x9e3779b97f4a7c15ULL;

	r = (r ^ r >> 30) * 0xbf58476d1ce4e5b9ULL;
	r = (r ^ r >> 27) * 0x94d049bb133111ebULL;
	r ^= r >> 31;
"""
_PROGRAMS = """
PROGRAM(empty) { %(next)s %(key)s in->out[0] = pkt->flow.saddr.w[3] + pkt->flow.saddr.w[0] + pkt->flow.dport; }
PROGRAM(look) { %(next)s %(key)s %(look)s }
"""
_FILL = """
PROGRAM(touch) { u64 r = in->argument++; %(key)s %(touch)s }
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A table, how the key of a packet is made in C from the random `r`, and the lookup, which writes what it found to in->out[0]."""

    name: str
    count: int
    table: Callable[[str], Table]  # of the mode
    key: str
    look: str
    fill: int = 0  # runs of `look` with numbers from 0 on that fill a table of packets' first
    touch: str = ""  # what they do


def run() -> list[Figure]:
    """Every case, kernel and direct; net of the program that makes the key."""
    figures: list[Figure] = []
    for case in cases():
        figures += measured(case)
    return figures


def measured(case: Case, rounds: int = ROUNDS) -> Iterator[Figure]:
    """Kernel and direct by turns, net of the program that makes the key, after both were seen to find the same."""
    body = _PROGRAMS % {"next": _NEXT, "key": case.key, "look": case.look}
    programs = ["empty", "look"]
    if case.fill:
        body += _FILL % {"key": case.key, "touch": case.touch}
        programs.append("touch")
    rigs, said = {}, {}
    with ExitStack() as stack:
        for mode in ("kernel", "direct"):
            made = case.table(mode)
            if mode == "kernel" and made.kind == "acl" and made.size > 4096:
                continue
            began = time.perf_counter()
            rigs[mode] = stack.enter_context(Rig([made], body, programs))
            size = kernel_maps(made)[0].value_size
            said[mode] = f"{(time.perf_counter() - began) * 1e3:.0f} ms to fill" + (f", {size >> 10} KiB" if mode == "direct" else "")
            if case.fill:
                rigs[mode].run(program="touch", repeat=case.fill)
        _verify(rigs)
        samples: dict[str, list[float]] = {mode: [] for mode in rigs}
        for turn in range(rounds):
            for mode in rigs if turn % 2 else reversed(rigs):
                samples[mode].append(_ns(rigs[mode], "look") - _ns(rigs[mode], "empty"))
    for mode, values in samples.items():
        yield point(f"{case.name}, {mode}", f"entries ({said[mode]})", case.count, values, "ns")


def _verify(rigs: dict[str, Rig]) -> None:
    found = {mode: [rig.run(argument=n * 977, program="look")[0] for n in range(CHECKED)] for mode, rig in rigs.items()}
    if len({tuple(values) for values in found.values()}) != 1:
        raise AssertionError("kernel and direct tables differ")


def _ns(rig: Rig, program: str) -> float:
    rig.run(argument=random.getrandbits(63), program=program, repeat=REPEAT)
    return rig.ns(program)


# ---------------------------------------------------------------- cases


def cases() -> Iterator[Case]:
    """From small to large."""
    for count in (10, 1000, 10_000, 100_000, 500_000):
        yield prefixes(count, 4)
        yield prefixes(count, 6)
    for count in (10, 1000, 100_000, 1_000_000):
        yield _exact(count)
    for count in (10, 30, 100, 1000, 10_000):
        yield _rules(count)
    for count in (1000, 100_000, 1_000_000):
        yield from flows(count)
    yield from _small()


_V4 = 0x9E3779B1  # odd: numbers that are multiplied by it, modulo a power of two, stay apart and are scattered


def prefixes(count: int, version: int) -> Case:
    if version == 4:
        nets = [f"{ipaddress.IPv4Address((n * _V4 & 0xFFFFFF) << 8)}/24" for n in range(count)]
        key = "pkt->flow.saddr.w[3] = bpf_htonl((u32)((r % COUNT * 0x9E3779B1ULL & 0xffffff) << 8 | (r >> 56)));"
    else:
        nets = [f"{ipaddress.IPv6Address((0x2 << 44 | (n * _V4 & 0xFFFFFFFF) << 12) << 80)}/48" for n in range(count)]
        key = (
            "u64 top = (0x2ULL << 44 | (r % COUNT * 0x9E3779B1ULL & 0xffffffff) << 12) << 16;"
            "pkt->flow.saddr.q[0] = __builtin_bswap64(top); pkt->flow.saddr.q[1] = r;"
        )
    entries = tuple((net, n) for n, net in enumerate(nets))
    look = "u32 *v = s_nets_lookup(&pkt->flow.saddr); in->out[0] = v ? *v : 99999999;"
    return Case(
        f"prefix v{version}", count, lambda mode: table("nets", "prefix", size=count, entries=entries, mode=mode),
        key.replace("COUNT", str(count)), look,
    )  # fmt: skip


def _exact(count: int) -> Case:
    entries = tuple((str(ipaddress.IPv4Address(n * _V4 & 0xFFFFFFFF)), n) for n in range(count))
    look = "u32 *v = s_hosts_lookup(&pkt->flow.saddr); in->out[0] = v ? *v : 99999999;"
    key = f"pkt->flow.saddr.w[3] = bpf_htonl((u32)(r % {count} * 0x9E3779B1ULL));"
    return Case("exact", count, lambda mode: table("hosts", "exact", key="ip", size=count, entries=entries, mode=mode), key, look)


def _rules(count: int) -> Case:
    """A packet fits one rule of the list, any with the same chance: a source, a /24 of destinations, ports from a to b."""
    fields = ("ip.version", "ip.src", "ip.dst", "ip.proto", "ip.dscp", "l4.sport", "l4.dport", "tcp.flags")
    entries = tuple(
        (
            str(10 * n + 10),
            {
                "match": {
                    "ip.src": str(ipaddress.IPv4Address(n * _V4 & 0xFFFFFFFF)),
                    "ip.dst": f"10.{n >> 8 & 255}.{n & 255}.0/24",
                    "l4.dport": f"{n & 1023}-{2000 + (n & 1023)}",
                    "ip.proto": "tcp",
                },
                "action": "deny" if n % 3 else "allow",
                "class": n & 0xFFFF,
            },
        )
        for n in range(count)
    )
    key = (
        f"u64 n = r % {count}; pkt->flow.saddr.w[3] = bpf_htonl((u32)(n * 0x9E3779B1ULL));"
        "pkt->flow.daddr.w[3] = bpf_htonl((u32)(0x0a000000 | (n & 0xffff) << 8 | r >> 56)); pkt->flow.dport = bpf_htons(1500);"
    )
    look = "struct s_rules_value *v = s_rules_match(pkt); in->out[0] = v ? v->class + 1 : 0;"
    value = [["action", "enum[allow,deny]"], ["class", "u16"]]
    made = {"fields": fields, "value": value, "size": 16384 if count > 4000 else 4096, "entries": entries}
    return Case("acl", count, lambda mode: table("rules", "acl", **made, mode=mode), key, look)


def flows(count: int) -> Sequence[Case]:
    """Known connections looked up; and new ones begun in a full table, each in the place of an old one."""

    def made(mode: str) -> Table:
        value = [["last_seen", "u64"], ["addr", "ip"], ["port", "port"]]
        return table("flows", "connections", key="flow", value=value, size=count, filled_by="packets", when_full="evict", mode=mode)

    def key(number: str) -> str:
        return f"u64 n = {number}; pkt->flow.saddr.w[3] = n * 0x9E3779B1ULL; pkt->flow.sport = n;"

    touch = "s_flows_v v = { .last_seen = n, .port = 1 }; in->out[0] = s_flows_touch(&pkt->flow, &v);"
    look = "s_flows_v *v = s_flows_lookup(&pkt->flow); in->out[0] = v ? v->port : 0;"
    known = Case("flows known", count, made, key(f"r % {count // 2}"), look, count // 2, touch)
    begun = Case("flows begun, full", count, made, key("r"), touch, count * 2, touch)
    return known, begun


def _small() -> Iterator[Case]:
    """What costs least; eight a packet, so that the clock's nanoseconds are fine enough."""
    counter: dict[str, Any] = {"value": [["packets", "u64"], ["bytes", "u64"]], "size": 256}
    histogram: dict[str, Any] = {"value": "u64", "size": 7, "buckets": (64, 127, 255, 511, 1023, 1518)}
    backends: dict[str, Any] = {
        "value": [["ip", "ip"], ["port", "port"]],
        "size": 256,
        "entries": tuple((str(n + 1), {"ip": f"10.1.0.{n}", "port": 80}) for n in range(200)),
    }
    packets = {"filled_by": "packets", "scope": "cpu"}
    add = "s_counts_add((r >> TURN) & 255, &(struct s_counts_value){ .packets = 1, .bytes = 60 });"
    pick = "{ struct s_backends_value *v = s_backends_pick(r >> TURN); in->out[0] += v ? v->ip.w[3] : 0; }"
    for name, kind, more, look in (
        ("counter", "counter", {**counter, **packets}, add),
        ("histogram", "histogram", {**histogram, **packets}, "s_sizes_record((r >> TURN) & 2047);"),
        ("consistent hash", "consistent_hash", backends, pick),
    ):
        table_name = {"counter": "counts", "histogram": "sizes", "consistent_hash": "backends"}[kind]
        yield Case(
            f"{name} x 8", more["size"], partial(_table, table_name, kind, more), "",
            "".join(look.replace("TURN", str(3 * k)) for k in range(8)),
        )  # fmt: skip


def _table(name: str, kind: str, more: dict[str, Any], mode: str) -> Table:
    return table(name, kind, mode=mode, **more)


if __name__ == "__main__":
    import sys

    for case in cases():
        if not sys.argv[1:] or any(word in f"{case.name} {case.count}" for word in sys.argv[1:]):
            for f in measured(case):
                print(f"{f.name:<70} {f.median:8.1f} {f.unit} ({f.low:.1f} to {f.high:.1f})", flush=True)
