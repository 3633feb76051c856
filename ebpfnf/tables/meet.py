"""What two matches have in common: a match that takes what both take. So one classifier serves classes inside of chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ebpfnf.tables.match import Bits, MatchField, bits_of, text_of, version_of

Match = Mapping[str, Sequence[Any]]
_FAMILIES = ("ip.version", "ip.src", "ip.dst")  # whose values hold for one version of IP


def meet(one: Match, other: Match, fields: Mapping[str, MatchField]) -> dict[str, list[Any]] | None:
    """A conjunction over the keys of both, None where no packet can match; values in their normal spelling."""
    found = {name: list(values) for name, values in one.items()}
    for name, values in other.items():
        if name in found:
            field = fields[name]
            own, others = ([bits_of(field, value) for value in each] for each in (found[name], values))
            both = dict.fromkeys(common for a in own for b in others if (common := _common(field, a, b)))
            found[name] = [text_of(field, bits) for bits in both]
            if not both:
                return None
        else:
            found[name] = list(values)
    families = [{version_of(fields[name], bits_of(fields[name], value)) for value in found[name]} for name in _FAMILIES if name in found]
    return None if families and not set.intersection(*families) else found


def _common(field: MatchField, one: Bits, two: Bits) -> Bits | None:
    """The value that takes what both values take."""
    if version_of(field, one) != version_of(field, two):
        return None
    pairs = list(zip(one, two, strict=True))
    if field.match == "range":
        ((low, high), (other_low, other_high)) = pairs[0]
        low, high = max(low, other_low), min(high, other_high)
        return ((low, high),) if low <= high else None
    if any((value ^ other) & mask & other_mask for (value, mask), (other, other_mask) in pairs):
        return None
    return tuple((value | other, mask | other_mask) for (value, mask), (other, other_mask) in pairs)
