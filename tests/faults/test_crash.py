"""Killed or failing at every named point, alone and in pairs: the old or the new chain runs, and the next apply converges."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import random
import re
from collections.abc import Callable

import pytest

from ebpfnf.agent import apply, journal, retired, steps
from ebpfnf.agent.failpoints import WITHIN
from ebpfnf.errors import EbpfnfError, HostUnreachable
from ebpfnf.kernel.insn import XDP_DROP, XDP_PASS, XDP_TX
from ebpfnf.model import Bundle
from tests.faults.bench import LAN, WAN, Bench

pytestmark = pytest.mark.faults

_PAIRS = 25  # of all pairs, a fixed sample: the rest differ in nothing that was found

# what an apply of each kind passes, so that a point that is renamed or skipped is noticed
FIRST = {
    *("locked", "journal-written", "after-load", "after-fill", "after-check", "base-pinned", "state-pinned", "generation-pinned"),
    *("after-pin", "after-flip", "root-program-pinned", "attached-unpinned", "after-attach", "journal-gone"),
}
UPDATE = FIRST - {"state-pinned"} | {
    *("detached-pinned", "after-detach", "after-replace", "after-grace", "folded", "hidden", "after-retire"),
}


def first(bench: Bench) -> Bundle:
    return bench.chain(XDP_PASS)


def second(bench: Bench) -> Bundle:
    """Every verb: lan's link goes, wan's root program is another, a port on lan1 comes, the generation before the last goes."""
    return bench.chain(XDP_TX, dataclasses.replace(WAN, on_fault="pass"), dataclasses.replace(LAN, name="far", number=3, interface="lan1"))


def killed(bench: Bench, bundle: Bundle, point: str) -> bool:
    """Whether the apply came by that point, which killed it."""
    try:
        bench.apply(bundle, kill=point)
    except HostUnreachable:
        return True
    return False


def prepared(bench: Bench) -> None:
    """Two generations, so that an update retires one."""
    bench.apply(bench.chain(XDP_DROP))
    bench.answer("wan", count=50)
    bench.apply(first(bench))
    bench.answer("wan", count=100)


def converges(bench: Bench, bundle: Bundle, answer: int, ports: set[str]) -> None:
    bench.apply(bundle)
    assert {port["name"] for port in bench.status()["ports"] if port["attached"]} == ports
    assert {bench.answer(port) for port in ports} == {answer}
    bench.tidy()
    before = bench.snapshot()
    assert not bench.apply(bundle)["changed"]
    assert bench.snapshot() == before


def test_points_are_those_that_the_code_has() -> None:
    code = "".join(inspect.getsource(module) for module in (apply, journal, retired, steps))
    assert set(re.findall(r'failpoints\.hit\("([a-z-]+)"\)', code)) == set(WITHIN)
    assert {*WITHIN, *(f"after-{verb}" for verb in steps.STEPS)} >= FIRST | UPDATE


@pytest.mark.parametrize("point", sorted(FIRST))
def test_first_deploy_killed(bench: Bench, point: str) -> None:
    assert killed(bench, first(bench), point)
    for port in ("wan", "lan"):
        assert bench.answer(port) in (None, XDP_PASS), "a port never has a link without a chain behind it"
    bench.status()
    converges(bench, first(bench), XDP_PASS, {"wan", "lan"})


@pytest.mark.parametrize("point", sorted(UPDATE))
def test_update_killed(bench: Bench, point: str) -> None:
    prepared(bench)
    assert killed(bench, second(bench), point)
    assert bench.answer("wan") in (XDP_PASS, XDP_TX)
    assert bench.status()["counters"]["in.entered"] == bench.sent == 151
    converges(bench, second(bench), XDP_TX, {"wan", "far"})


@pytest.mark.parametrize("point", ["locked", "journal-written", "detached-pinned", "after-detach", "after-remove", "journal-gone"])
def test_undeploy_killed(bench: Bench, point: str) -> None:
    prepared(bench)
    with pytest.raises(HostUnreachable):
        bench.run("undeploy", kill=point)
    assert bench.answer("wan") in (None, XDP_PASS)
    bench.run("undeploy")
    assert not bench.run("observe")["exists"] and not bench.run("undeploy")["changed"]
    assert bench.run("observe")["journal"] == ""


@pytest.mark.parametrize("point", ["after-flip", "folded", "hidden", "after-retire", "after-detach", "after-attach"])
def test_rollback_killed(bench: Bench, point: str) -> None:
    prepared(bench)
    bench.apply(second(bench))
    with pytest.raises(HostUnreachable):
        bench.run("rollback", kill=point)
    assert bench.answer("wan") == XDP_PASS
    converges(bench, first(bench), XDP_PASS, {"wan", "lan"})


def test_killed_twice(bench: Bench) -> None:
    """Killed, then killed again while the next apply, of another chain, tidies up."""
    rng = random.Random(288)
    pairs = rng.sample(list(itertools.product(sorted(UPDATE), sorted(UPDATE))), _PAIRS)
    bench.apply(first(bench))
    chains: tuple[Callable[[Bench], Bundle], ...] = (second, first)
    for number, (one, two) in enumerate(pairs):
        killed(bench, chains[number % 2](bench), one)
        killed(bench, bench.chain(XDP_DROP, layout=number + 2), two)
        assert bench.answer("wan") in (XDP_PASS, XDP_TX, XDP_DROP), (one, two)
        answer, ports = ((XDP_TX, {"wan", "far"}), (XDP_PASS, {"wan", "lan"}))[number % 2]
        converges(bench, chains[number % 2](bench), answer, ports)


@pytest.mark.parametrize("point", sorted(UPDATE))
def test_no_space(bench: Bench, point: str) -> None:
    """An error before the change stands leaves all as it was; after it, it is a warning and the new chain runs."""
    prepared(bench)
    before = bench.snapshot()
    try:
        result = bench.apply(second(bench), fail=point)
    except EbpfnfError:
        assert bench.answer("wan") == XDP_PASS and bench.answer("lan") == XDP_PASS
        assert _ids(bench.snapshot()) == _ids(before)
    else:
        assert bench.answer("wan") == XDP_TX
        assert result["warnings"]
    converges(bench, second(bench), XDP_TX, {"wan", "far"})


@pytest.mark.parametrize("point", sorted(FIRST))
def test_no_space_at_the_first_deploy(bench: Bench, point: str) -> None:
    try:
        bench.apply(first(bench), fail=point)
    except EbpfnfError:
        assert not bench.run("observe")["exists"]
    converges(bench, first(bench), XDP_PASS, {"wan", "lan"})


def _ids(snapshot: dict[str, object]) -> dict[str, object]:
    """Without the links of a port that was taken off and put back."""
    return {name: what for name, what in snapshot.items() if not name.startswith("ports/")}
