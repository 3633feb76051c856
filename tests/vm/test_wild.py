"""A guest that was taken over writes what it likes into its rings and its frames: nobody else feels it."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ebpfnf import bundle as bundles
from ebpfnf import packets
from ebpfnf.agent import apply
from ebpfnf.vm import build, control
from tests.vm import deployments
from tests.vm.conftest import Host

pytestmark = pytest.mark.vm

FRAME = packets.build("udp 192.0.2.9:4000 > 198.51.100.7:80 payload 'x'")
SENT = 20
# The runtime with another way out: control frames are answered, so that the guest passes for a good one, until it is handed a packet.
WILD = """
#define network_send honest_send
#include "network.c"
#undef network_send

static u32 chance = 1;
static u32 any(void) { return chance = chance * 1664525 + 1013904223; }

static void send_raw(const u8 *head, u32 from, u32 length, u8 flags, u8 gso)
{
	struct frame made;
	u8 *header;

	if (!network_new(&made))
		return;
	header = made.data - HEADER;
	memset(header, 0, HEADER);
	header[0] = flags;
	header[1] = gso;
	memcpy(made.data + from, head + from, 60 - from);
	for (u32 i = 0; i < from; i++)
		made.data[i] = (u8)(any() >> 24);
	while (!n_slots) { network_flush(); reap(); }
	give(&send, free_slots[--n_slots], buffer_of(&made), length + HEADER, 0);
}

static void wild(const struct frame *frame)
{
	%s
}

static void lie(struct frame *frame)
{
	memset(frame->data + 22, '7', 1400);
	memcpy(frame->data + 22, "a b\\nvm.sent 99999999999999999999999\\n \\n../../x 1\\nvm.runts 7\\n\\377 1\\n", 60);
	frame->data[18] = 2;	/* there is more */
	put16(frame->data + 20, 1400);
	frame->len = 1422;
}

static bool lies;

void network_send(struct frame *frame);
void network_send(struct frame *frame)
{
	if (get16(frame->data + 12) != 0x88b5) {
		wild(frame);
		lies = true;
		network_free(frame);
		return;
	}
	if (lies)
		lie(frame);
	honest_send(frame);
}
"""
GARBAGE = """
	(void)frame; (void)send_raw;
	for (u32 i = 0; i < QUEUE; i++) {
		send.ring->table[i].address = (u64)any() << 16 ^ any();
		send.ring->table[i].length = any();
		send.ring->table[i].flags = (u16)any();
		send.ring->table[i].next = (u16)any();
		send.ring->offered.entries[i] = (u16)any();
		receive.ring->table[i].address = any();
	}
	send.ring->offered.index = (u16)any();
	receive.ring->offered.index = (u16)any();
	*send.doorbell = 1;
	*receive.doorbell = 0;
	*send.doorbell = 0xffff;
"""
GIANT = """
	for (u32 length = 1700; length < 66000; length += 9000)
		send_raw(frame->data, 0, length, 0, 0), send_raw(frame->data, 14, length, 0, 0);
	for (u32 i = 0; i < 8; i++)	/* cookies that are true, lengths that are not, and segments for the host to cut */
		send_raw(frame->data, 0, 30000 + i, 1, (u8)(1 << i));
	send_raw(frame->data, 0, 0, 0, 0);
	send_raw(frame->data, 0, 13, 0, 0);
"""
FORGED = """
	for (u32 i = 0; i < 200; i++) {
		u8 copy[60];

		memcpy(copy, frame->data, 60);
		copy[i % 8] ^= (u8)(1 + any() % 255);	/* nonce and index; the generation is a true one */
		send_raw(copy, 0, 60, 0, 0);
		send_raw(copy, 12, 60, 0, 0);
	}
"""
CONTROL = """
	for (u32 i = 0; i < 200; i++) {
		u8 copy[60];

		memcpy(copy, frame->data, 60);
		put16(copy + 12, 0x88b5);
		copy[14] = 1;
		copy[15] = (u8)(0x80 | any() % 8);
		copy[16] = (u8)any(), copy[17] = (u8)any(), copy[18] = (u8)any();
		put16(copy + 20, any() & 0xffff);
		send_raw(copy, 0, 60, 0, 0);
	}
"""


def image(body: str, scratch: Path) -> bytes:
    """tcp_reasm's guest with that way out."""
    wanted = build.mnfs("tcp_reasm")
    wild = scratch / "wild.c"
    wild.write_text(WILD % body)
    runtime = f"-I{build.SOURCES / 'runtime'}"
    honest = build.units(scratch, wanted, (*build.SHARED, *build._GUEST))
    units = [(wild, [runtime]) if path.name == "network.c" else (path, flags) for path, flags in honest]
    return build._link(scratch, build.compiled(scratch, units, build._GUEST_FLAGS), []).read_bytes()


def pour(host: Host) -> None:
    with host.socket("a1") as source:
        for _ in range(SENT):
            source.send(FRAME)
            time.sleep(0.005)


def until(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


# What a guest does for each packet that it is sent, what is counted of that, and whether it can still speak.
WAYS = {
    "garbage in rings": (GARBAGE, {}, False),  # its device is taken away
    "giant frames": (GIANT, {"chain.there.too_big": 8 * SENT, "stray": 8 * SENT}, True),
    "forged cookies": (FORGED, {"stray": 400 * SENT}, True),
    "control frames": (CONTROL, {}, True),
}


def dropped(host: Host) -> Counter[str]:
    """What came back and went no further. A guest chooses which generation its cookies name: of strays there are two kinds."""
    told = host.status()
    strays = told["strays"] + told["counters"].get("vm.unknown", 0)
    return Counter({"chain.there.too_big": told["counters"].get("chain.there.too_big", 0), "stray": strays})


def _same(host: Host, wanted: Counter[str]) -> bool:
    return dropped(host) == wanted


def test_a_wild_guest_harms_nobody(host: Host, tmp_path: Path) -> None:
    """One after the other, each exchanged for the next while it answers no question, or lies; the last is a good one."""
    good = host.bundle("", deployments.REASM)
    before, wanted = host.received("b1"), Counter[str]()
    for number, (way, (body, counted, speaks)) in enumerate(WAYS.items()):
        (tmp_path / way).mkdir()
        wild = dataclasses.replace(good.vms[0], image=image(body, tmp_path / way), digest=str(number) * 64)
        apply.apply(bundles.sealed(dataclasses.replace(good, vms=(wild,))))
        pour(host)
        wanted += Counter(counted)
        assert until(partial(_same, host, wanted)), (way, dropped(host), wanted)
        assert host.received("b1") == before and host.counter("chain.there.entered") == host.counter("x.to_vm") == SENT
        (machine,) = host.status()["vms"]
        assert machine["counters"] == ({"vm.runts": 7} if speaks else {})  # of its lies what looks like a counter
    apply.apply(good)
    pour(host)
    assert until(lambda: host.received("b1") - before == SENT)


def test_control_frames_from_outside_reach_no_guest(host: Host) -> None:
    host.deploy()
    quit_ = control.request(control.Operation.QUIT, 1, bytes(6))
    with host.socket("a1") as source:
        for frame in (quit_, b"\xff" * 12 + quit_[12:], quit_[:12] + b"\x81\x00\x00\x05" + quit_[12:]):
            source.send(frame)
        source.send(FRAME)
    assert until(lambda: host.counter("x.from_vm") == 1) and host.counter("port.a.control_frame") >= 2
    assert host.status()["vms"][0]["counters"]["vm.received"] == 1 and host.status()["warnings"] == []
