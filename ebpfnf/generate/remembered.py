"""The flow cache: how a flow's entry is laid out, and what the template needs to make its key and to let it answer.

An entry: by which chain and under which generation of tables it was made, a bit for each position that is known, the key's words, then
verdicts and what each position left in the record.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from ebpfnf.generate.layout import Member, c_size, struct_size
from ebpfnf.generate.typed import CIdent, CInt, CType
from ebpfnf.generate.view import chain_numbers
from ebpfnf.model import Fields, Graph, MapSpec, Remembered, Stage

View = dict[str, Any]
MAP = "flow_cache"
HEADER = 64  # u64 generation, nothing (direct_zero in direct.h)
_WAYS = 2
_MMAPABLE = 1 << 10  # linux/bpf.h
_FLOW = ("l4.sport", "l4.dport", "ip.proto")  # lie in one word of struct flow, with 24 bits of nothing above
_FLOW_BITS = 40
_HEAD = (Member("made", "u64"), Member("known", "u32"), Member("turn", "u32"))


@dataclass(frozen=True, slots=True)
class FlowCache:
    """All chains share one map; a chain's entries have the size of the largest."""

    graph: Graph
    fields: Fields

    @property
    def there(self) -> bool:
        """Whether there is anything to remember."""
        return bool(self.graph.remembered)

    @property
    def _stride(self) -> int:
        entries = [[*_HEAD, Member("key", "u64", len(_words(r, self.fields))), *_kept(self, r)] for r in self.graph.remembered]
        return -(-max(map(struct_size, entries)) // 64) * 64

    @property
    def _sets(self) -> int:
        return max(1, 1 << (self.graph.deployment.flow_cache - 1).bit_length() >> 1)

    @property
    def words(self) -> int:
        """Words of the longest key: it is put together in the slot's scratch memory, which no body uses yet."""
        return max((len(_words(r, self.fields)) for r in self.graph.remembered), default=0)

    def maps(self) -> tuple[MapSpec, ...]:
        """The map, in which each CPU has entries of its own."""
        if not self.there:
            return ()
        size = HEADER + self._sets * _WAYS * self._stride
        return (MapSpec(MAP, "array", 4, size, 1, flags=_MMAPABLE, per_cpu_slots=True),)

    def view(self) -> View | None:
        """Sizes, and each chain's key and entry."""
        if not self.there:
            return None
        (spec,) = self.maps()
        return {
            "size": CInt(spec.value_size),
            "stride": CInt(self._stride),
            "bits": CInt(self._sets.bit_length() - 1),
            "factors": [CInt(_factor(k)) for k in range(self.words)],
            "chains": [
                {
                    "number": CInt(chain_numbers(self.graph)[r.chain]),
                    "words": _words(r, self.fields),
                    "kept": [{"name": CIdent(m.name), "c": CType(m.c)} for m in _kept(self, r)],
                }
                for r in self.graph.remembered
            ],
        }

    def answers(self) -> dict[int, View]:
        """What each remembered position needs: its chain, its bit, what it leaves in the record."""
        stages = {stage.id: stage for stage in self.graph.stages}
        place = {position.index: position for position in self.graph.positions}
        return {
            index: {
                "chain": CInt(chain_numbers(self.graph)[r.chain]),
                "bit": CInt(1 << bit),
                "verdict": CIdent(f"verdict_{index}"),
                "fields": [
                    {"kept": CIdent(m.name), "owner": CIdent(owner) if owner else "", "name": CIdent(name)}
                    for m, owner, name in _written(index, stages[place[index].stage], self.fields)
                ],
            }
            for r in self.graph.remembered
            for bit, index in enumerate(r.positions)
        }


def _written(index: int, stage: Stage, fields: Fields) -> list[tuple[Member, str, str]]:
    """Members of an entry for what a position writes, with its place in the record: the mNF that owns it, or nobody, and its name."""
    own = [(f"{stage.mnf.name}.{name}", kind) for name, kind in stage.mnf.metadata.items()]
    shared = [(name[2:], fields.metadata[name[2:]].c) for name in sorted(stage.mnf.writes) if name.count(".") == 1]
    found = []
    for path, kind in [*own, *shared]:
        owner, _, name = path.rpartition(".")
        found.append((Member(f"at_{index}_{name}", kind), owner, name))
    return found


def _kept(cache: FlowCache, remembered: Remembered) -> list[Member]:
    """All that an entry holds behind its head, widest first."""
    stages = {stage.id: stage for stage in cache.graph.stages}
    place = {position.index: stages[position.stage] for position in cache.graph.positions}
    members = [m for index in remembered.positions for m, _, _ in _written(index, place[index], cache.fields)]
    members += [Member(f"verdict_{index}", "u32") for index in remembered.positions]
    return sorted(members, key=lambda m: -c_size(m.c)[1])


def _words(remembered: Remembered, fields: Fields) -> list[list[View]]:
    """The key: words, each the parts that stand in it, with their shifts."""
    left = dict.fromkeys(remembered.key)
    words: list[list[View]] = []
    for name in [name for name in left if name in ("ip.src", "ip.dst")]:
        left.pop(name)
        words += [[_part("address", name, half)] for half in (0, 1)]
    room: list[int] = [0] * len(words)
    if all(name in left for name in _FLOW):
        for name in _FLOW:
            left.pop(name)
        words.append([_part("flow", "ends", 0)])
        room.append(64 - _FLOW_BITS)
    for name, bits in sorted(((name, _bits(name, fields)) for name in left), key=lambda one: (-one[1], one[0])):
        at = next((k for k, free in enumerate(room) if free >= bits), len(words))
        if at == len(words):
            words.append([])
            room.append(64)
        kind = "mac" if bits == 48 else "metadata" if name.startswith("m.") else "header"
        words[at].append(_part(kind, name, 64 - room[at]))
        room[at] -= bits
    return words


def _factor(place: int) -> int:
    """By what a word of the key is multiplied, before all are added up: odd, and of no pattern."""
    return int.from_bytes(hashlib.sha256(bytes([place])).digest()[:8], "little") | 1


def _bits(name: str, fields: Fields) -> int:
    kind = fields.metadata[name[2:]].c if name.startswith("m.") else fields.header[name].c
    return 8 * c_size(kind)[0]


def _part(kind: str, name: str, shift: int) -> View:
    return {"kind": kind, "name": CIdent(name.removeprefix("m.").replace(".", "_")), "shift": CInt(shift)}
