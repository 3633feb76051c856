"""Rates are what came between two looks."""

from __future__ import annotations

from ebpfnf.cli.observe import _rates


def looked(packets: int, inside: int, drops: dict[str, int]) -> dict:
    return {"chains": [{"name": "c", "packets": packets}], "stages": [{"id": "fw.acl", "in": inside}], "drops": drops}


def test_rates_are_differences_by_seconds() -> None:
    rates = _rates(looked(100, 90, {"fw.deny": 1}), looked(300, 91, {"fw.deny": 1, "fw.new": 8}), 4)
    assert rates == {"seconds": 4, "chains": {"c": 50.0}, "stages": {"fw.acl": 0.2}, "drops": {"fw.deny": 0.0, "fw.new": 2.0}}


def test_what_was_deployed_anew_has_no_negative_rate() -> None:
    assert _rates(looked(100, 90, {}), looked(3, 2, {}), 1)["chains"] == {"c": 0.0}
