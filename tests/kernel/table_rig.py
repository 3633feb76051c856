"""Tables in a program of their own: the real template, compiled by the real compiler, run on a packet record that a test writes.

A frame is `struct input`: results, an argument, then the packet's record; so accessors are seen without a parser.
"""

from __future__ import annotations

import os
import random
import re
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ebpfnf.agent import tables as agent
from ebpfnf.compile import compile_source
from ebpfnf.generate.state import Made
from ebpfnf.generate.typed import FRAMEWORK, environment
from ebpfnf.kernel import maps, programs
from ebpfnf.kernel.maps import Map
from ebpfnf.kernel.syscall import cpu_slots
from ebpfnf.model import ConstLayout, MapSpec, SlotLayout, Source, Table
from ebpfnf.tables.direct.choose import chosen
from ebpfnf.tables.layout import kernel_maps, stats_map_name
from ebpfnf.tables.match import MatchField, describe
from ebpfnf.tables.types import ip_bytes

FIELDS = {
    name: MatchField(name, kind, match, needs)
    for name, kind, match, needs in (
        ("eth.src", "mac", "mask", "eth"),
        ("eth.dst", "mac", "mask", "eth"),
        ("eth.type", "u16", "exact", "eth"),
        ("vlan.id", "u16", "exact", "vlan"),
        ("ip.version", "u8", "exact", "ip"),
        ("ip.src", "prefix", "mask", "ip"),
        ("ip.dst", "prefix", "mask", "ip"),
        ("ip.proto", "proto", "exact", "ip"),
        ("ip.dscp", "u8", "exact", "ip"),
        ("l4.sport", "port", "range", "l4"),
        ("l4.dport", "port", "range", "l4"),
        ("tcp.flags", "u8", "mask", "tcp"),
        ("m.in_port", "u8", "exact", ""),
    )
}

MODE = "kernel"  # what `table` chooses by; test modules set it

_HEAD = """
#include "ebpfnf/types.h"
#include "ebpfnf/direct.h"
#define cpu_here() (bpf_get_smp_processor_id() & (CPUS - 1))
#define MAKING_WORDS 64
struct slot { u64 making[MAKING_WORDS]; };
#define slot_here() ((struct slot *)(MAP_VALUE(MAP_slot) + cpu_here() * sizeof(struct slot)))
struct md { u16 have; u16 eth_type; u16 vlan_id; u8 ip_version; u8 tcp_flags; u8 in_port; u8 zero[3]; };
struct pkt { struct flow flow; struct mac_addr eth_src, eth_dst; u8 dscp; u8 zero[3]; struct md m; u32 end; };
struct input { u64 out[4]; u64 argument; struct pkt pkt; };
#define settle(p) memory_barrier()
#define get_eth_src(p) ((p)->eth_src)
#define get_eth_dst(p) ((p)->eth_dst)
#define get_eth_type(p) ((p)->m.eth_type)
#define get_vlan_id(p) ((p)->m.vlan_id)
#define get_ip_version(p) ((p)->m.ip_version)
#define get_ip_src(p) ((p)->flow.saddr)
#define get_ip_dst(p) ((p)->flow.daddr)
#define get_ip_proto(p) ((p)->flow.proto)
#define get_ip_dscp(p) ((p)->dscp)
#define get_l4_sport(p) ((p)->flow.sport)
#define get_l4_dport(p) ((p)->flow.dport)
#define get_tcp_flags(p) ((p)->m.tcp_flags)
"""

# Written out, not a macro of C: bcc gives what comes by a macro no section of its own, and no line information.
_PROGRAM = r"""
inline_always void \1_body(struct input *in, struct pkt *pkt);
int \1(struct xdp_md *ctx)
{
	struct input *in = (void *)(long)ctx->data;
	struct pkt packet;
	if ((void *)(in + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	packet = in->pkt;
	\1_body(in, &packet);
	return XDP_PASS;
}
inline_always void \1_body(struct input *in, struct pkt *pkt)
"""

_SLOT = MapSpec("slot", "array", 4, 8 * 64, 1, per_cpu_slots=True)
_ip = lru_cache(maxsize=1 << 16)(ip_bytes)


@dataclass(frozen=True, slots=True)
class Record:
    """A packet's record, with what a rule may look at."""

    saddr: str = "192.0.2.1"
    daddr: str = "198.51.100.7"
    sport: int = 0
    dport: int = 0
    proto: int = 6
    eth_src: str = "02:00:00:00:00:01"
    eth_dst: str = "02:00:00:00:00:02"
    dscp: int = 0
    have: int = 1 | 4 | 8 | 16
    eth_type: int = 0x0800
    vlan_id: int = 0
    ip_version: int = 4
    tcp_flags: int = 0
    in_port: int = 1

    def encode(self) -> bytes:
        flow = _ip(self.saddr) + _ip(self.daddr) + struct.pack("!HHB3x", self.sport, self.dport, self.proto)
        macs = bytes.fromhex((self.eth_src + self.eth_dst).replace(":", ""))
        md = struct.pack("=HHHBBB3x", self.have, self.eth_type, self.vlan_id, self.ip_version, self.tcp_flags, self.in_port)
        return flow + macs + bytes([self.dscp, 0, 0, 0]) + md + bytes(4)


def table(name: str, kind: str, **more: Any) -> Table:
    """A table with the given parts; `fields` names what an acl matches."""
    if "fields" in more:
        more["key"] = describe([FIELDS[field] for field in more.pop("fields")])
    mode = more.pop("mode", MODE)
    base = dict(key=None, value="u32", size=64, filled_by="operator", scope="host", when_full="", keep=False)
    made = Table(name=f"test.node.{name}", map=f"test-node-{name}", kind=kind, **{**base, **more})
    return chosen(made, mode)


@dataclass
class Rig:
    """Loaded programs and the maps of their tables. Use as a context manager."""

    tables: Sequence[Table]
    body: str
    names: Sequence[str]
    filled: bool = True
    maps: dict[str, Map] = field(default_factory=dict)
    stats: dict[str, Map] = field(default_factory=dict)
    _runners: dict[str, programs.Runner] = field(default_factory=dict)
    fds: dict[str, int] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Rig:
        specs = (_SLOT, *(spec for each in self.tables for spec in kernel_maps(each)))
        ids = {spec.name: 0x7F000000 + k for k, spec in enumerate(specs)}
        source = self._source(specs, ids)
        with ExitStack() as stack:
            live = {}
            for spec in specs:
                inner = None
                if spec.inner:
                    inner = maps.create(spec.inner.kind, spec.inner.key_size, spec.inner.value_size, 1)
                    stack.callback(os.close, inner)
                size = spec.value_size * (cpu_slots() if spec.per_cpu_slots else 1)
                fd = maps.create(spec.kind, spec.key_size, size, spec.max_entries, spec.flags, "test", inner)
                live[spec.name] = stack.enter_context(Map(fd))
            for each in self.tables:
                self.maps[each.name.rpartition(".")[2]] = live[each.map]
                if stats_map_name(each) in live:
                    self.stats[each.name.rpartition(".")[2]] = live[stats_map_name(each)]
                if each.filled_by == "operator" and self.filled:
                    agent.fill(each, live[each.map], each.entries)
            for program in compile_source(source):
                code = bytearray(program.insns)
                for at, name in program.relocations:
                    struct.pack_into("=i", code, 8 * at + 4, live[name].fd)
                btf = programs.btf_load(program.btf)
                stack.callback(os.close, btf)
                self.fds[program.name] = programs.load(
                    bytes(code), program.name, btf_fd=btf,
                    func_info=program.func_info, func_info_size=program.func_info_size,
                    line_info=program.line_info, line_info_size=program.line_info_size,
                )  # fmt: skip
                stack.callback(os.close, self.fds[program.name])
                self._runners[program.name] = programs.Runner(self.fds[program.name])
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, record: Record | None = None, argument: int = 0, program: str = "", repeat: int = 1) -> tuple[int, ...]:
        """What the program (the first, unless named) wrote to `in->out`."""
        runner = self._runners[program or self.names[0]]
        action = runner.run(bytes(32) + struct.pack("=Q", argument) + (record or Record()).encode(), repeat)
        assert action == 2, "the program left early"
        return struct.unpack_from("=4Q", runner.data)

    def ns(self, program: str = "") -> int:
        """Mean time of the last run."""
        return self._runners[program or self.names[0]].ns

    def _source(self, specs: Sequence[Any], ids: Mapping[str, int]) -> Source:
        template = environment().get_template("tables.c.j2").module
        made = Made("s", tuple(self.tables), tuple(specs))
        views, loops = made.views(ids), {0x7E000000 + k: name for k, name in enumerate(made.loops)}
        defines = f"#define MAP_slot {ids['slot']}\n" + "".join(f"#define LOOP_{name} {number}\n" for number, name in loops.items())
        accessors = "".join(str(template.declare(v)) + str(template.accessors(v)) for v in views)
        body = re.sub(r"PROGRAM\((\w+)\)", _PROGRAM, self.body)
        return Source(
            text=f"#define CPUS {cpu_slots()}\n{defines}{_HEAD}{accessors}{body}",
            files={f"ebpfnf/{name}": (FRAMEWORK / name).read_text() for name in ("types.h", "direct.h")}, authors={},
            programs=tuple(self.names), maps=tuple(specs), tables=tuple(self.tables), counters=(), slot=SlotLayout(0, 0, 0, 0),
            const=ConstLayout(0, 0, 0, 0, 0), map_ids={number: name for name, number in ids.items()}, loops=loops,
        )  # fmt: skip


@contextmanager
def traffic(run: Callable[[], Any]) -> Iterator[set[Any]]:
    """What packets saw while the block ran."""
    seen, stop = set[Any](), threading.Event()

    def packets() -> None:
        while not stop.is_set():
            seen.add(run())

    runner = threading.Thread(target=packets)
    runner.start()
    try:
        yield seen
    finally:
        stop.set()
        runner.join()


def address(draw: random.Random, six: bool) -> int:
    """One of few networks, so that prefixes hold it."""
    if six:
        return 0x20010DB8 << 96 | draw.randrange(60) << 80 | draw.randrange(50) << 64 | draw.randrange(30)
    return 10 << 24 | draw.randrange(60) << 16 | draw.randrange(80) << 8 | draw.randrange(80)
