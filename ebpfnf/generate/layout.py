"""Where things lie: the record that travels, the slot of a CPU, the constants. Computed once here; packet.h asserts the same in C."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ebpfnf.errors import GenerateError
from ebpfnf.model import VM_INSTANCES, ConstLayout, Fields, SlotLayout, Stage
from ebpfnf.tables.types import Record, Type, type_of

_SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "be16": 2, "be32": 4}
_STRUCTS = {"struct ip_addr": (16, 8), "struct mac_addr": (6, 2)}
BEFORE_MD = 1 + 5 + 2  # words of the record: now, flow, two checksum deltas
HOST_SIZE = 16 + 16 * 8  # struct host in packet.h
CONST = {"cpu_mask": 0, "flags": 4, "tick_ns": 8, "ports": 16}
EXIT_SIZE, CLOCK_AT, RECORD_AT, FIB_SIZE = 24, 24, 40, 64  # struct slot in packet.h


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a C struct: name, C type, how many (0: not an array)."""

    name: str
    c: str
    count: int = 0


def c_size(c: str) -> tuple[int, int]:
    """(size, alignment) of a field's C type in bytes."""
    return _STRUCTS.get(c) or (_SIZES[c], _SIZES[c])


def _align(members: Sequence[Member]) -> int:
    return max((c_size(m.c)[1] for m in members), default=1)


def _end(members: Sequence[Member]) -> int:
    """Offset behind the last member, without padding."""
    at = 0
    for member in members:
        size, align = c_size(member.c)
        at = -(-at // align) * align + size * max(member.count, 1)
    return at


def struct_size(members: Sequence[Member]) -> int:
    """Bytes of a C struct of these members on a 64-bit machine."""
    return -(-_end(members) // _align(members)) * _align(members)


def metadata_members(fields: Fields) -> tuple[Member, ...]:
    """The core of struct md: what parsing writes, then the rest; each widest first, so that no padding is lost."""
    ordered = sorted(fields.metadata.values(), key=lambda field: (not field.by_parse, -c_size(field.c)[1]))
    return tuple(Member(field.name, field.c) for field in ordered)


def own_metadata(stages: Sequence[Stage]) -> tuple[tuple[str, tuple[Member, ...]], ...]:
    """(mNF, members) for each mNF with metadata of its own; two stages of one mNF share them, as they share the name."""
    found = {}
    for stage in stages:
        if stage.mnf.metadata:
            members = [Member(name, kind) for name, kind in stage.mnf.metadata.items()]
            found[stage.mnf.name] = tuple(sorted(members, key=lambda m: -c_size(m.c)[1]))
    return tuple(found.items())


def record_words(fields: Fields, stages: Sequence[Stage]) -> int:
    """64-bit words of what travels from segment to segment: now, flow, two checksum deltas, struct md."""
    size = _end(metadata_members(fields))
    for _, members in own_metadata(stages):
        size = -(-size // _align(members)) * _align(members) + struct_size(members)
    return BEFORE_MD + -(-size // 8)


def words_up_to(fields: Fields, wanted: Collection[str]) -> int:
    """64-bit words of the record's beginning that holds what parsing writes and these core fields."""
    members = metadata_members(fields)
    known = [k for k, m in enumerate(members, 1) if fields.metadata[m.name].by_parse or m.name in wanted]
    return BEFORE_MD + -(-_end(members[: max(known)]) // 8)


def scratch_members(stage: Stage) -> tuple[Member, ...]:
    """The stage's working memory; `u8[64]` is an array of 64."""
    members = []
    for name, kind in stage.mnf.scratch.items():
        base, bracket, count = kind.partition("[")
        members.append(Member(name, base, int(count[:-1]) if bracket else 0))
    return tuple(members)


def slot_layout(words: int, counters: int, working_words: int) -> SlotLayout:
    """The slot of one CPU, a multiple of 64 bytes so that no two CPUs share a cache line."""
    counts = RECORD_AT + 8 * words
    size = counts + 8 * counters + 8 * working_words + FIB_SIZE
    return SlotLayout(size=-(-size // 64) * 64, exit=0, clock=CLOCK_AT, counts=counts, record=RECORD_AT)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The scalar parameters of a stage: a record in the const map, at this offset."""

    offset: int
    record: Record | None
    data: bytes


def configurations(stages: Sequence[Stage]) -> tuple[tuple[Configuration, ...], bytes]:
    """Where each stage's `cfg` lies in the const map, and the map's contents with the host's part still zero."""
    contents = bytearray(HOST_SIZE)
    found = []
    for stage in stages:
        scalars = [(p.name, type_of(p.type)) for p in stage.mnf.params if not p.type.startswith("list[")]
        if not scalars:
            found.append(Configuration(0, None, b""))
            continue
        record = Record(tuple(scalars))
        data = record.encode({name: _given(stage, name, kind) for name, kind in scalars})
        contents += b"\0" * (-len(contents) % 8)
        found.append(Configuration(len(contents), record, data))
        contents += data
    contents += b"\0" * (-len(contents) % 8)
    return tuple(found), bytes(contents)


def _given(stage: Stage, name: str, kind: Type) -> Any:
    value = stage.config.get(name)
    if value is None:
        raise GenerateError(f"'{stage.id}': parameter '{name}' has no value", stage.mnf.where)
    return kind.parse(value)


VM_RECORDS = 4096  # of packets that went to one VM, of which as many as VM_WINDOW in vm.h may be there at once; a power of two
VM_WINDOW_SIZE = 64  # struct window in vm.h


def vm_saved_size(words: int) -> int:
    """struct saved in vm.h."""
    return 32 + 8 * words


def vm_state_size(stages: int) -> int:
    """struct vm_state in vm.h."""
    return 8 + stages * 4 * (2 + VM_INSTANCES)


VM_FLOWS = 65536  # flows of a stage whose VM is remembered; one that was forgotten goes where a new one would


FUNCTION_PORTS_SIZE = 16 * 16  # 16 of struct function_port in function.h


def const_layout(size: int) -> ConstLayout:
    """Offsets of struct host (packet.h)."""
    return ConstLayout(size=size, **CONST)
