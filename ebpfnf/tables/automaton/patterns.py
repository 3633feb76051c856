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
    distinct = {column: token for token, column in enumerate(columns) if token}  # one of the tokens that no pattern tells apart
    tokens = (0, *distinct.values())
    place = {token: number for number, token in enumerate(tokens)}
    same = [place[distinct[columns[token]]] if token else 0 for token in range(width)]
    held = [sum(1 << position for position in after) for after in positions.after]  # from where a token leads on
    begun = [_joined(after, positions.always & on) for after, on in zip(positions.after, held, strict=True)]  # by a pattern's first token
    ends = {rank: sum(1 << p for p, r in positions.ranks.items() if r == rank) for rank in sorted(RANKS.values(), reverse=True)}
    ended = ends[1] | ends[2]
    first = begun[_END] & ~positions.always
    numbers, rows = {first: 0}, [[(0, 0)] * len(tokens), [(1, 0)] * len(tokens)]
    todo = [first]

    def step(token: int, on: int) -> tuple[int, int]:
        """Where the token leads from these positions: the next state, and the rank of what has ended."""
        found = begun[token] | _joined(positions.after[token], on & held[token]) | (on if token in grammar.skip else 0)
        rank = next(r for r in ends if found & ends[r]) if found & ended else 0
        if rank == _ATTACK:
            return 1, rank
        target = first if token == _END else found & ~(ended | positions.always)
        if target not in numbers:
            numbers[target] = len(rows)
            rows.append([(0, 0)] * len(tokens))
            todo.append(target)
            if len(rows) > MAX_STATES:
                raise TableError("the patterns make too large a machine", cure="fewer '*' and '+' in them")
        return numbers[target], rank

    counts = [-1 if token in grammar.skip else on for token, on in enumerate(held)]  # the positions that decide where it leads: few do, so
    known: list[dict[int, tuple[int, int]]] = [{} for _ in range(width)]  # most steps were made before
    while todo:
        state = todo.pop()
        row = rows[numbers[state]]
        row[0] = (numbers[state], 0)
        for column, token in enumerate(tokens[1:], 1):
            on = state & counts[token]
            if on not in known[token]:
                known[token][on] = step(token, on)
            row[column] = known[token][on]
    return [[row[column] for column in same] for row in _smallest(rows)]


def _column(positions: _Positions, grammar: Grammar, token: int) -> tuple[object, ...]:
    """Tokens that no pattern tells apart have the same."""
    return token == _END, token in grammar.skip, tuple(positions.after[token].items())


def _joined(after: dict[int, int], mask: int) -> int:
    """Where a token leads from the positions of the mask, from each of which it leads on."""
    found = 0
    while mask:
        low = mask & -mask
        found |= after[low.bit_length() - 1]
        mask ^= low
    return found


def _smallest(rows: list[list[tuple[int, int]]]) -> list[list[tuple[int, int]]]:
    """The same machine without states that do the same (Moore's refinement)."""
    targets = [[to for to, _ in row] for row in rows]
    kinds, count = _numbered([tuple(rank for _, rank in row) for row in rows])
    while True:
        kinds, more = _numbered([(kind, *map(kinds.__getitem__, row)) for kind, row in zip(kinds, targets, strict=True)])
        if more == count:
            break
        count = more
    order = {kind: n for n, kind in reversed(list(enumerate(kinds)))}
    return [[(kinds[to], rank) for to, rank in rows[order[kind]]] for kind in range(count)]


def _numbered(things: list[tuple[int, ...]]) -> tuple[list[int], int]:
    """Each as a number, the same for equal ones, in the order in which they come up; and how many there are."""
    seen: dict[tuple[int, ...], int] = {}
    return [seen.setdefault(each, len(seen)) for each in things], len(seen)
