"""All patterns as one machine over tokens: positions in patterns are bits, sets of them the machine's states (subset construction)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ebpfnf.errors import TableError
from ebpfnf.tables.automaton.grammar import RANKS, Grammar, Pattern

MAX_STATES = 8192
_END = 1  # the token's number
_ATTACK = RANKS["attack"]


@dataclass(slots=True)
class _Positions:
    """Places in patterns. Where the rest of two patterns is the same they share its positions, or the machine would be far larger."""

    after: list[dict[int, int]]  # for each token: position -> bits of the positions behind it
    ranks: dict[int, int] = field(default_factory=dict)  # a position at the end of a pattern -> its rank
    numbers: dict[tuple[object, ...], int] = field(default_factory=dict)
    always: int = 0  # where a pattern begins

    def add(self, pattern: Pattern) -> None:
        """All positions of a pattern, from its end on."""
        end = self._number(pattern.rank)
        self.ranks[end] = pattern.rank
        reach = 1 << end  # what is reached without a token
        rest: tuple[object, ...] = (pattern.rank,)
        for element in reversed(pattern.elements):
            behind, rest = reach, (element, *rest)
            here, again = self._number(rest), self._number("again", rest)
            target = behind | (1 << again if element.repeated else 0)
            for token in element.tokens:
                self.after[token][here] = self.after[token][again] = target
            reach = 1 << here | (behind if element.optional else 0)
        self.always |= reach

    def _number(self, *what: object) -> int:
        return self.numbers.setdefault(what, len(self.numbers))


def machine(grammar: Grammar) -> list[list[tuple[int, int]]]:
    """state -> token -> (next state, rank). State 0 is a field's beginning; 1, where an attack leads to, is never left."""
    width = len(grammar.tokens)
    positions = _Positions([{} for _ in range(width)])
    for pattern in grammar.patterns:
        positions.add(pattern)
    columns = [_column(positions, grammar, token) for token in range(width)]
    distinct = {column: token for token, column in enumerate(columns) if token}
    same = [distinct[columns[token]] if token else 0 for token in range(width)]
    ends = {rank: sum(1 << p for p, r in positions.ranks.items() if r == rank) for rank in RANKS.values()}
    begun = [_joined(after, _bits(positions.always)) for after in positions.after]  # where a pattern's first token leads
    first = begun[_END] & ~positions.always
    numbers, rows = {first: 0}, [[(0, 0)] * width, [(1, 0)] * width]
    todo = [first]
    while todo:
        state = todo.pop()
        row = rows[numbers[state]]
        row[0] = (numbers[state], 0)
        held = _bits(state)
        for token in distinct.values():
            found = begun[token] | _joined(positions.after[token], held) | (state if token in grammar.skip else 0)
            rank = next((r for r in sorted(ends, reverse=True) if found & ends[r]), 0)
            if rank == _ATTACK:
                row[token] = (1, rank)
                continue
            target = first if token == _END else found & ~(ends[1] | ends[2] | positions.always)
            if target not in numbers:
                numbers[target] = len(rows)
                rows.append([(0, 0)] * width)
                todo.append(target)
                if len(rows) > MAX_STATES:
                    raise TableError("the patterns make too large a machine", cure="fewer '*' and '+' in them")
            row[token] = (numbers[target], rank)
        rows[numbers[state]] = [row[token] for token in same]
    return _smallest(rows)


def _column(positions: _Positions, grammar: Grammar, token: int) -> tuple[object, ...]:
    """Tokens that no pattern tells apart have the same."""
    return token == _END, token in grammar.skip, tuple(positions.after[token].items())


def _joined(after: dict[int, int], held: list[int]) -> int:
    """Where a token leads from all positions that are held."""
    found = 0
    for position in held:
        if position in after:
            found |= after[position]
    return found


def _bits(mask: int) -> list[int]:
    result = []
    while mask:
        low = mask & -mask
        result.append(low.bit_length() - 1)
        mask ^= low
    return result


def _smallest(rows: list[list[tuple[int, int]]]) -> list[list[tuple[int, int]]]:
    """The same machine without states that do the same (Moore's refinement)."""
    kinds = [0] * len(rows)
    count = 1
    while True:
        seen: dict[tuple[object, ...], int] = {}
        kinds = [seen.setdefault((kinds[n], tuple((kinds[to], rank) for to, rank in row)), len(seen)) for n, row in enumerate(rows)]
        if len(seen) == count:
            break
        count = len(seen)
    order = {kind: n for n, kind in reversed(list(enumerate(kinds)))}
    return [[(kinds[to], rank) for to, rank in rows[order[kind]]] for kind in range(count)]
