"""Hand-written programs that ours are held against."""

from __future__ import annotations

import re
from pathlib import Path

from ebpfnf.agent.tables import capacity
from ebpfnf.compile import compile_source
from ebpfnf.generate.typed import FRAMEWORK
from ebpfnf.model import Bundle, ConstLayout, Program, SlotLayout, Source

_FIRST_ID = 0x7E000000
HERE = Path(__file__).parent


def compiled(file: str, names: tuple[str, ...], bundle: Bundle, *defines: str) -> tuple[Program, ...]:
    """The programs of a file here, on the maps of `bundle` (and `chained`, the prog array by which they call each other)."""
    maps = [*(spec.name for spec in bundle.maps), "chained"]
    ids = {_FIRST_ID + k: name for k, name in enumerate(maps)}
    sizes = {table.kind: capacity(table) for table in bundle.tables if table.kind in ("acl", "consistent_hash")}
    constants = {
        **{f"MAP_{re.sub('[^A-Za-z0-9]', '_', name)}": number for number, name in ids.items()},
        "RULES": sizes.get("acl", 1),
        "BACKENDS": sizes.get("consistent_hash", 1),
        "SLOT_SIZE": bundle.slot.size,
        "COUNTS_AT": bundle.slot.counts,
        **{name: 1 for name in defines},
    }
    text = "".join(f"#define {name} {value}\n" for name, value in constants.items()) + (HERE / file).read_text()
    files = {"ebpfnf/types.h": (FRAMEWORK / "types.h").read_text(), "baselines/common.h": (HERE / "common.h").read_text()}
    return compile_source(Source(text, files, {}, names, (), (), (), SlotLayout(0, 0, 0, 0), ConstLayout(0, 0, 0, 0, 0), ids))
