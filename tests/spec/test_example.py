"""The example that the documents, the lab and the demo stand on."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import packets, pipeline, spec
from ebpfnf.analyse import expect

FILE = Path(__file__).parents[2] / "examples/dc-edge/chain.yaml"


@pytest.fixture(scope="module")
def deployment():
    return spec.load(FILE)


def test_it_loads_with_its_surroundings(deployment):
    assert [chain.name for chain in deployment.chains] == ["inbound", "outbound"]
    assert set(deployment.testbed.ports) == {port.name for port in deployment.ports}


def test_its_expectations_are_packets_that_can_be_built(deployment):
    assert len(deployment.expect) >= 10
    for line in deployment.expect:
        assert len(packets.build(line.packet)) >= 60


def test_each_backend_is_a_neighbour_of_the_lan(deployment):
    backends = next(i for i in deployment.instances if i.name == "lb").arguments["backends"]
    addresses = {backend[family] for backend in backends for family in ("v4", "v6")}
    assert addresses == set(deployment.testbed.ports["lan"].neighbours)


@pytest.mark.kernel
def test_the_example_of_classes_and_templates_does_what_it_expects():
    deployment = spec.load(FILE.parents[1] / "classes/chain.yaml")
    stages = {stage.id for stage in pipeline.expand(deployment).stages}
    assert {"gate.seen.sizes", "gate.fire.acl", "chain.out.parts_1"} <= stages
    assert [checked.wrong for checked in expect.check(deployment)] == [()] * 6
