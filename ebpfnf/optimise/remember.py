"""Find what a flow cache may remember: positions whose outcome and metadata are the same for every packet with the same headers.

A position is remembered by itself and answers at its own place, so that what stands between (counters, connections, writers of the
packet) runs as ever, and outcomes are counted where they always were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ebpfnf.model import Fields, Graph, Mnf, Remembered
from ebpfnf.optimise.certificate import Step
from ebpfnf.optimise.effects import all_atoms, atoms, in_packet
from ebpfnf.optimise.legality import Law

MOST = 32  # positions of a chain: a bit for each
ALWAYS = ("ip.version", "m.have")  # a body may ask what a packet has without saying so
PARTS = "m.parts"  # by which a path parts
_RECEIVED = frozenset({-1})  # who left a field that no mNF wrote


def remember(graph: Graph, fields: Fields) -> tuple[Graph, tuple[Step, ...], tuple[Step, ...]]:
    """The graph that says so, a step for each chain that gains, and the other positions with what forbids it."""
    law, found, steps, refused = Law(graph, fields), list[Remembered](), list[Step](), list[Step]()
    for chain in graph.deployment.chains:
        taken, left, parted = _of_chain(law, chain.name, fields)
        refused += [Step("remember", (index,), why) for index, why in left.items()]
        if not any(law.effects[index].looks for index in taken):
            why = "no table would be spared a look"
            refused += [Step("remember", (index,), why) for index in taken]
            continue
        reads = {name for index in taken for name in law.effects[index].reads} | ({PARTS} if parted else set())
        key = tuple(sorted({*ALWAYS, *(name for name in reads if received(name, fields))}))
        found.append(Remembered(chain.name, key, taken))
        steps.append(Step("remember", taken, f"they follow from {', '.join(key)}, and from tables that only the operator changes"))
    return replace(graph, remembered=tuple(found), unoptimised=graph.meaning), tuple(steps), tuple(refused)


def received(name: str, fields: Fields) -> bool:
    """Whether a field is there before any mNF was: of the packet, or left by the parser."""
    own = fields.metadata.get(name.removeprefix("m."))
    return in_packet(name) or (own is not None and own.by_parse)


def _of_chain(law: Law, chain: str, fields: Fields) -> tuple[tuple[int, ...], dict[int, str], bool]:
    """Positions of a chain that can be remembered, why the others can't, and whether classes must be in the key.

    What a packet's headers don't decide is `open`. Where several may have left what a position reads, the way is an input too.
    """
    varies = [*(f"m.{m.name}" for m in fields.metadata.values() if m.varies), *(h.name for h in fields.header.values() if h.varies)]
    at_entry = {atom: "differs from packet to packet" for name in varies for atom in atoms(name)}
    behind: dict[int, dict[str, str]] = {}
    writers: dict[int, dict[str, frozenset[int]]] = {}  # behind a position: who may have left an atom
    parted = False
    back: set[int] = set()  # where packets come from a machine: their CPU has the entry of another flow at hand
    taken, left = list[int](), dict[int, str]()
    for position in (p for p in law.graph.positions if p.chain == chain):  # links go forward only
        index, own = position.index, law.effects[position.index]
        open_ = dict(at_entry) if law.graph.entries[chain] == index else {}
        ways = [writers[source] for source in law.sources[index]] + ([{}] if law.graph.entries[chain] == index else [])
        left_by = {atom: frozenset().union(*(way.get(atom, _RECEIVED) for way in ways)) for way in ways for atom in way}
        writers[index] = left_by
        for source in law.sources[index]:
            open_ |= behind[source]
            if source in back or law.effects[source].away:
                back.add(index)
        mnf = law.stages[position.stage].mnf
        if not mnf.folder:  # where a path parts: the framework's, a jump by what the entry found
            behind[index] = open_
            continue
        wants = own.reads | (own.writes - own.always)  # what it does not write stays as it was
        loose = next((name for name in sorted(wants) if atoms(name) & open_.keys()), "")
        why = f"'{own.stage}' stands beside the path" if index in law.graph.beside else _own_doing(law, index, mnf)
        if not why and index in back:
            why = f"packets come to '{own.stage}' from a machine"
        if not why and loose:
            why = f"'{own.stage}' reads '{loose}', which {open_[min(atoms(loose) & open_.keys())]}"
        by_way = next((name for name in sorted(wants) if any(len(left_by.get(atom, ())) > 1 for atom in atoms(name))), "")
        forks = _forks(law, index, taken) if by_way and not why else []
        if fork := next((law.at[k].stage for k in forks if law.stages[law.at[k].stage].mnf.folder), ""):
            why = f"'{own.stage}' reads '{by_way}', which depends on the way, and '{fork}', where ways part, is not remembered"
        if not why and len(taken) == MOST:
            why = f"a flow's entry holds {MOST} mNFs"
        left_by |= dict.fromkeys(all_atoms(own.writes), frozenset({index}))
        parted |= bool(forks) and not why
        if why:
            left[index] = why
            open_ |= dict.fromkeys(all_atoms(own.writes), f"'{own.stage}' writes by each packet")
        else:
            taken.append(index)
            for atom in all_atoms(own.writes):
                open_.pop(atom, None)
        behind[index] = open_
    return tuple(taken), left, parted


def _forks(law: Law, index: int, remembered: Sequence[int]) -> list[int]:
    """Positions from which several ways lead here, but for those whose outcome is remembered."""
    others = (k for k in law.at if k not in remembered)
    return [k for k in others if sum(index in law.reached(target) for target in law.goes_on_to(k)) > 1]


def _own_doing(law: Law, index: int, mnf: Mnf) -> str:
    """What a position does that no entry can do for it, or an empty string."""
    own = law.effects[index]
    if own.away:
        return f"'{own.stage}' is a machine"
    if own.changes or own.adds:
        return f"'{own.stage}' {own.seen}"
    if mnf.asks:
        return f"'{own.stage}' asks {mnf.asks}"
    bytes_ = sorted(filter(in_packet, own.writes))
    return f"'{own.stage}' writes '{bytes_[0]}' into the packet" if bytes_ else ""
