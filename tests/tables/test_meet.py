"""What two matches have in common."""

from __future__ import annotations

import pytest

from ebpfnf.tables.match import MatchField
from ebpfnf.tables.meet import meet

FIELDS = {
    field.name: field
    for field in (
        MatchField("ip.version", "u8", "exact", "ip"),
        MatchField("ip.src", "prefix", "mask", "ip"),
        MatchField("l4.dport", "port", "range", "l4"),
    )
}


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (["10.0.0.0/8"], ["10.1.0.0/16", "11.0.0.0/8"], ["10.1.0.0/16"]),
        (["2001:db8::/32"], ["::/0"], ["2001:db8::/32"]),
        (["10.0.0.0/8"], ["::/0"], None),
        (["0.0.0.0/0", "::/0"], ["10.0.0.0/8", "2001:db8::/32"], ["10.0.0.0/8", "2001:db8::/32"]),
    ],
)
def test_prefixes_meet_inside_of_their_ip_version(one: list[str], other: list[str], both: list[str] | None) -> None:
    """No IPv6 prefix takes an IPv4 packet, not ::/0 either, though IPv4 addresses are IPv6 addresses here."""
    for a, b in ((one, other), (other, one)):
        found = meet({"ip.src": a}, {"ip.src": b}, FIELDS)
        assert (found and sorted(found["ip.src"])) == (both and sorted(both))


def test_ranges_meet_and_other_fields_stand_beside_each_other() -> None:
    """A conjunction over the fields of both; none where the IP versions differ."""
    assert meet({"l4.dport": ["1-100"]}, {"l4.dport": ["90-200", 50]}, FIELDS) == {"l4.dport": ["90-100", 50]}
    assert meet({"ip.version": [4]}, {"ip.src": ["10.0.0.0/8"]}, FIELDS) == {"ip.version": [4], "ip.src": ["10.0.0.0/8"]}
    assert meet({"ip.version": [6]}, {"ip.src": ["10.0.0.0/8"]}, FIELDS) is None
