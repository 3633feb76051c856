"""What may be done with a graph: which neighbours may change places, which positions stand in for others, which do nothing.

Each question is answered by why not; an empty answer is a yes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from ebpfnf.model import EXIT, PASSED, Chain, Fields, Graph, Stage
from ebpfnf.optimise.effects import Effects, all_atoms, anew, conflict, effects, in_packet, overlap

_UNSAID = "'m.have', for which any body may ask"


class Law:
    """A graph, and what the calculus says about it. Graphs don't change: after a step there is a new one, and a new Law."""

    def __init__(self, graph: Graph, fields: Fields) -> None:
        self.graph = graph
        self.stages: dict[str, Stage] = {stage.id: stage for stage in graph.stages}
        self.chains: dict[str, Chain] = {chain.name: chain for chain in graph.deployment.chains}
        self.at = {position.index: position for position in graph.positions}
        self.links: dict[int, dict[str, int]] = defaultdict(dict)
        self.sources: dict[int, set[int]] = defaultdict(set)
        for link in graph.links:
            self.links[link.source][link.outcome] = link.target
            self.sources[link.target].add(link.source)
        self.effects = {index: self._effects(index) for index in self.at}
        written = {name for each in self.effects.values() for name in each.writes if in_packet(name)}
        self._packet = all_atoms({*fields.header, *written})

    def _effects(self, index: int) -> Effects:
        position = self.at[index]
        stage = self.stages[position.stage]
        return effects(stage.id, stage.mnf, self.chains[position.chain].direction, self.links[index])

    def goes_on_to(self, index: int) -> frozenset[int]:
        """Where packets that don't end at this position go: positions, or the chain's exit."""
        return frozenset(target for target in self.links[index].values() if target >= EXIT)

    def reached(self, start: int, without: int = EXIT) -> frozenset[int]:
        """Positions that packets at `start` come to, `start` too, but for those that only ways over `without` lead to."""
        found: set[int] = set()
        todo = [start]
        while todo:
            index = todo.pop()
            if index >= 0 and index != without and index not in found:
                found.add(index)
                todo += self.links[index].values()
        return frozenset(found)

    # ------------------------------------------------------------ the three steps

    def no_swap(self, first: int, second: int) -> str:
        """Why `second`, to which `first` leads, may not come before it."""
        one, other = self.effects[first], self.effects[second]
        if why := conflict(one, other):
            return why
        if self.goes_on_to(first) != {second}:
            return f"'{one.stage}' does not lead to '{other.stage}' alone"
        if self.sources[second] != {first} or self.graph.entries[self.at[second].chain] == second:
            return f"ways lead to '{other.stage}' past '{one.stage}'"
        if len(self.goes_on_to(second)) != 1:
            return f"'{other.stage}' leads to several places"
        return ""

    def no_merge(self, first: int, second: int) -> str:
        """Why the result of `first` is not that of `second`, which stands later in the chain."""
        one, other = self.effects[first], self.effects[second]
        stages = self.stages[one.stage], self.stages[other.stage]
        if stages[0].mnf != stages[1].mnf:
            return f"'{one.stage}' is another mNF than '{other.stage}'"
        if differs := _different(stages[0].config, stages[1].config):
            return f"'{one.stage}' and '{other.stage}' differ in '{differs}'"
        if other.away:
            return f"'{one.stage}' and '{other.stage}' are machines of their own"
        if other.tables:
            return f"'{one.stage}' and '{other.stage}' each have their own '{stages[1].mnf.tables[0].name}'"
        if field := overlap(other.writes, other.reads):
            return f"'{other.stage}' writes '{field}', which it reads: twice is not once"
        if second in self.reached(self.graph.entries[self.at[second].chain], without=first):
            return f"ways lead to '{other.stage}' past '{one.stage}'"
        for outcome, target in self.links[first].items():
            if outcome != "NEXT" and second in self.reached(target):
                return f"'{one.stage}' leads to '{other.stage}' by outcome '{outcome}' too"
        if len(self.goes_on_to(second)) != 1:
            return f"'{other.stage}' leads to several places"
        for index in self.between(first, second):
            between = self.effects[index]
            if between.away:
                used = next((f"'{name}', which '{other.stage}' uses" for name in sorted(other.reads | other.writes) if anew(name)), "")
                return f"the machine of '{between.stage}' may give back another {used or _UNSAID}"
            if field := overlap(between.writes, other.reads | other.writes):
                verb = "reads" if overlap(between.writes, other.reads) else "writes"
                return f"'{between.stage}' writes '{field}', which '{other.stage}' {verb}"
            if other.emits and (bytes_ := sorted(filter(in_packet, between.writes))):
                return f"'{between.stage}' writes '{bytes_[0]}', and '{other.stage}' may pass the packet on by it"
        return ""

    def no_drop(self, index: int) -> str:
        """Why this position is not without effect."""
        own = self.effects[index]
        if own.tables:
            return f"'{own.stage}' has tables"
        if own.ends:
            return f"'{own.stage}' may end the packet"
        if own.seen:
            return f"'{own.stage}' {own.seen}"
        if len(self.goes_on_to(index)) != 1:
            return f"'{own.stage}' leads to several places"
        (target,) = self.goes_on_to(index)
        used = overlap(self.live(target, self.at[index].chain), own.writes)
        return f"'{used}', which '{own.stage}' writes, is used" if used else ""

    def no_beside(self, index: int, run: tuple[int, ...]) -> str:
        """Why a copy of the packet is not enough for this position of a straight run that packets shall go past."""
        own = self.effects[index]
        if not self.stages[own.stage].lossy:
            return f"'{own.stage}' may miss no packet: its instance is not declared lossy"
        if own.away:
            return f"packets leave for the machine of '{own.stage}'"
        if own.ends:
            return f"'{own.stage}' may end the packet"
        if own.outcomes:
            return f"'{own.stage}' decides where packets go, by '{own.outcomes[0]}'"
        if bytes_ := sorted(filter(in_packet, own.writes)):
            return f"'{own.stage}' writes '{bytes_[0]}' of the packet"
        for after in self.goes_on_to(run[-1]):
            if used := overlap(self.live(after, self.at[index].chain), own.writes):
                users = (self.effects[k].stage for k in sorted(self.reached(after)) if overlap(self.effects[k].reads, {used}))
                return f"'{own.stage}' writes '{used}', which '{next(users, self.chains[self.at[index].chain].then)}' uses"
        return ""

    # ------------------------------------------------------------ what they rest on

    def between(self, first: int, second: int) -> tuple[int, ...]:
        """Positions on the ways from `first` to `second`, both left out."""
        after = frozenset(index for target in self.links[first].values() for index in self.reached(target))
        return tuple(index for index in self.at if index in after and index != second and second in self.reached(index))

    def live(self, target: int, chain: str) -> frozenset[str]:
        """What is still used of a packet that comes to `target`, in atoms: read, or among the bytes that leave."""
        known: dict[int, frozenset[str]] = {}

        def of(index: int) -> frozenset[str]:
            if index == EXIT:
                return self._used_at_exit(self.chains[chain])
            if index < 0:
                return self._packet if index == PASSED else frozenset()
            if index not in known:
                own = self.effects[index]
                later = frozenset().union(*(of(next_) for next_ in self.goes_on_to(index)))
                known[index] = all_atoms(own.reads) | (later - all_atoms(own.always)) | (self._packet if own.emits else frozenset())
            return known[index]

        return of(target)

    def _used_at_exit(self, chain: Chain) -> frozenset[str]:
        if chain.then == "drop":
            return frozenset()
        return self._packet | (all_atoms({"m.fwd_port"}) if chain.then == "route" else frozenset())


def _different(some: Mapping[str, object], others: Mapping[str, object]) -> str:
    """The first parameter in which two configurations differ."""
    return next((name for name in sorted({*some, *others}) if some.get(name) != others.get(name)), "")
