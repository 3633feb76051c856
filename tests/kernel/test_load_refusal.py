"""A body that the verifier refuses: the error stands at the author's line, with the compiler's own line information."""

from __future__ import annotations

import pytest

from ebpfnf.agent.load import HostFacts, load
from ebpfnf.compile import compile_source
from ebpfnf.errors import VerifierError
from ebpfnf.kernel.syscall import cpu_slots
from ebpfnf.model import MapSpec, Source
from tests.kernel.handmade import CONST, COUNTERS, MAPS, SLOT, bundle

pytestmark = pytest.mark.kernel

FRAMEWORK = """\
#include <linux/types.h>
struct pkt { u32 now; };
static inline u64 *flows_lookup(const u32 *key)
{
	return bpf_map_lookup_elem((void *)bpf_pseudo_fd(1, 0x7f000001), key);
}
#define MNF(p) static inline int own(p)
#include "mnf/own.c"
int entry(struct xdp_md *ctx)
{
	struct pkt pkt = { .now = ctx->rx_queue_index };

	return own(&pkt);
}
"""
BODY = """\
MNF(struct pkt *pkt)
{
	u32 key = pkt->now;
	u64 *seen = flows_lookup(&key);

	%s
	return 2;
}
"""


@pytest.mark.parametrize(
    ("line", "said", "place", "cure"),
    [
        ("*seen += 1;", "map_value_or_null", 6, "test the pointer"),
        ("if (seen)\n\t\tseen[pkt->now] = 1;", "", 7, ""),
    ],
)
def test_the_authors_line(line: str, said: str, place: int, cure: str) -> None:
    authors = {"mnf/own.c": "mnfs/own/mnf.c"}
    ids = {0x7F000001: "flows"}
    source = Source(FRAMEWORK, {"mnf/own.c": BODY % line}, authors, ("entry",), (), (), COUNTERS, SLOT, CONST, ids)
    made = bundle(*compile_source(source), maps=(*MAPS, MapSpec("flows", "hash", 4, 8, 8)), authors=authors)
    with pytest.raises(VerifierError) as refused:
        load(made, host=HostFacts(cpu_slots() - 1, 4_000_000, {"wan": (1, 1500), "lan": (1, 1500)}))
    where = refused.value.where
    assert where is not None and (where.file, where.line) == ("mnfs/own/mnf.c", place)
    assert said in refused.value.what and cure in refused.value.cure
