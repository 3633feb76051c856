"""A lab of three machines for each file of tests, empty before each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ebpfnf.lab.hosts import HostLab
from tests.fleet import rig


@pytest.fixture(scope="module")
def machines() -> Iterator[HostLab]:
    with HostLab(f"test-{os.getpid()}") as lab:
        yield lab


@pytest.fixture
def lab(machines: HostLab) -> HostLab:
    rig.clear(machines)
    return machines
