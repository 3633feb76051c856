"""A small framework to compile bodies in: one accessor, a cfg of two members, one program for each body."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ebpfnf.model import ConstLayout, SlotLayout, Source

FLOWS, META = 0x7F000001, 0x7F000002
HEAD = """\
#include <linux/types.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
struct pkt { u32 now; };
struct own_cfg { u32 idle; u32 rate; };
#define cfg (*(const struct own_cfg *)bpf_pseudo_fd(2, 0x7f000002))
#define LOCAL(name) own_##name
static inline u64 *flows_lookup(const u32 *key)
{
	return bpf_map_lookup_elem((void *)bpf_pseudo_fd(1, 0x7f000001), key);
}
"""
SEGMENT = """\
#define MNF(p) static inline int own_{number}(p)
#include "mnf/own.c"
#undef MNF
int seg_{number}(struct xdp_md *ctx)
{{
	struct pkt pkt = {{ .now = ctx->data_end - ctx->data }};
	return own_{number}(&pkt);
}}
"""


@pytest.fixture
def make() -> Callable[..., Source]:
    """A Source of one body's text, compiled into so many programs; without MNF in it the text is the body's lines."""

    def build(body: str, programs: int = 1, text: str | None = None) -> Source:
        if "MNF" not in body:
            body = f"/* own */\nMNF(struct pkt *pkt)\n{{\n\t{body}\n}}\n"
        return Source(
            text=text if text is not None else HEAD + "".join(SEGMENT.format(number=number) for number in range(programs)),
            files={"mnf/own.c": body},
            authors={"mnf/own.c": "mnfs/own/mnf.c"},
            programs=tuple(f"seg_{number}" for number in range(programs)),
            maps=(),
            tables=(),
            counters=(),
            slot=SlotLayout(0, 0, 0, 0),
            const=ConstLayout(0, 0, 0, 0, 0),
            map_ids={FLOWS: "flows", META: "const"},
        )

    return build


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested is compiled."""
    monkeypatch.setenv("EBPFNF_CACHE", "off")
