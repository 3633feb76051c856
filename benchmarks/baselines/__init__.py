"""Hand-written programs that ours are held against."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ebpfnf.agent.tables import capacity
from ebpfnf.compile import compile_source
from ebpfnf.generate.state import Made
from ebpfnf.generate.typed import FRAMEWORK, environment
from ebpfnf.kernel.syscall import cpu_slots
from ebpfnf.model import Bundle, ConstLayout, Program, SlotLayout, Source

_FIRST_ID, _FIRST_LOOP = 0x7E000000, 0x7D000000  # symbolic ids of maps and functions
HERE = Path(__file__).parent
_SLOT = """struct slot { u64 making[MAKING_WORDS]; };
#define slot_here() ((struct slot *)(MAP_VALUE(MAP_meta) + (cpu_here() + 1) * SLOT_SIZE - sizeof(struct slot)))
"""
_ACCESSORS = '#include "baselines/accessors.h"\n'  # stands for what the framework makes of the tables


def compiled(file: str, names: tuple[str, ...], bundle: Bundle, *defines: str) -> tuple[Program, ...]:
    """The programs of a file here, on the maps of `bundle` (and `chained`, the prog array by which they call each other).

    `defines`: NAME or NAME=VALUE.
    """
    maps = [*(spec.name for spec in bundle.maps), "chained"]
    ids = {_FIRST_ID + k: name for k, name in enumerate(maps)}
    sizes = {table.kind: capacity(table) for table in bundle.tables if table.kind in ("acl", "consistent_hash", "automaton")}
    constants = {
        **{f"MAP_{re.sub('[^A-Za-z0-9]', '_', name)}": number for number, name in ids.items()},
        "RULES": sizes.get("acl", 1),
        "BACKENDS": sizes.get("consistent_hash", 1),
        "STATES": sizes.get("automaton", 1),
        "SLOT_SIZE": bundle.slot.size,
        "COUNTS_AT": bundle.slot.counts,
        "CPUS": cpu_slots(),
        **{name: value or "1" for name, _, value in (each.partition("=") for each in defines)},
    }
    text = "".join(f"#define {name} {value}\n" for name, value in constants.items()) + (HERE / file).read_text()
    files = {f"ebpfnf/{name}": (FRAMEWORK / name).read_text() for name in ("types.h", "direct.h")}
    files |= {f"baselines/{path.name}": path.read_text() for path in HERE.glob("*.h")}
    owners = _owners(bundle) if _ACCESSORS in text else []
    accessors = _accessors(owners, {name: number for number, name in ids.items()})
    loops = {_FIRST_LOOP + k: name for k, name in enumerate(name for owner in owners for name in owner.loops)}
    making = max((own.making_words for own in owners), default=0)  # at the end of the slot, where the framework has it too
    accessors = f"#define MAKING_WORDS {making}\n{_SLOT}{accessors}"
    # pasted, not included: bcc gives functions of included files no section of their own
    text = "".join(f"#define LOOP_{name} {number}\n" for number, name in loops.items()) + text.replace(_ACCESSORS, accessors)
    slot, const = SlotLayout(0, 0, 0, 0), ConstLayout(0, 0, 0, 0, 0)
    return compile_source(Source(text, files, {}, names, (), (), (), slot, const, ids, loops))


def _owners(bundle: Bundle) -> list[Made]:
    """The deployment's own tables but for automata, each with the prefix `<instance>_<node>`."""
    own = [table for table in bundle.tables if not table.name.startswith("framework.") and table.kind != "automaton"]
    return [Made(table.name.rpartition(".")[0].replace(".", "_").replace("-", "_"), (table,), ()) for table in own]


def _accessors(owners: Sequence[Made], ids: Mapping[str, int]) -> str:
    """C of these tables, kernel maps or direct ones: `<instance>_<node>_<table>_lookup` and so on."""
    template = environment().get_template("tables.c.j2").module
    return "".join(str(template.declare(view)) + str(template.accessors(view)) for owner in owners for view in owner.views(ids))
