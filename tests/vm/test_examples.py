"""The examples with stages in VMs do what they expect; a VM hands back what it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import spec
from ebpfnf.analyse import expect

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.kernel
@pytest.mark.parametrize("name", ["dc-edge/whole.yaml", "dc-edge/branch.yaml", "wan-pair/near.yaml", "wan-pair/far.yaml"])
def test_the_example_does_what_it_expects(name: str) -> None:
    checked = list(expect.check(spec.load(EXAMPLES / name)))
    assert checked
    assert not [each for each in checked if each.wrong]


def test_whole_says_what_chain_says_of_what_they_share() -> None:
    whole, chain = (spec.load(EXAMPLES / "dc-edge" / name) for name in ("whole.yaml", "chain.yaml"))
    shared = {"edge", "stats", "lb"}
    of = [{i.name: i.arguments for i in each.instances if i.name in shared} for each in (whole, chain)]
    assert of[0] == of[1] and of[0].keys() == shared
    assert [(p.name, p.number) for p in whole.ports][:2] == [(p.name, p.number) for p in chain.ports], "a live change keeps ports' numbers"
