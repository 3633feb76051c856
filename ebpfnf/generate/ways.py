"""The ways through a chain whose path parts by classes: one rule of the classifier for each, so that packets are classified once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ebpfnf.model import Chain, ChainPath, Parting
from ebpfnf.tables.match import MatchField
from ebpfnf.tables.meet import Match, meet

Way = tuple[Match, int]  # what its packets match, m.parts


def ways(chain: Chain, fields: Mapping[str, MatchField]) -> Iterator[Way]:
    """In the order in which the first that fits is the packet's: earlier classes first, no class last."""
    return _along(chain.path, (chain.match, 0), fields)


def _along(path: ChainPath, way: Way, fields: Mapping[str, MatchField]) -> Iterator[Way]:
    place = next((k for k, item in enumerate(path) if isinstance(item, Parting)), None)
    if place is None:
        yield way
        return
    parting, (match, parts) = path[place], way
    assert isinstance(parting, Parting)
    for number, each in enumerate(parting.classes, 1):
        common = meet(match, each.match, fields)
        if common is not None:
            for inner in _along(each.path, (common, parts | number << parting.shift), fields):
                yield from _along(path[place + 1 :], inner, fields)
    yield from _along(path[place + 1 :], way, fields)
