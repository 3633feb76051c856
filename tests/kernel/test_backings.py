"""Chains mean the same whatever stands behind their tables: all other tests run `auto`, here `kernel` and `direct` are asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ebpfnf.model import Deployment
from tests.differential import compare
from tests.subjects import SUBJECTS, Subject

pytestmark = pytest.mark.kernel

FRAMES = 1000
WITH_TABLES = ("firewall", "monitor", "load-balancer", "classifier", "dc-edge")


class Backed(Subject):
    """A subject with `tables:` in its file."""

    mode = "kernel"

    def deployment(self, folder: Path) -> Deployment:
        return dataclasses.replace(Subject.deployment(self, folder), tables=self.mode)


class Direct(Backed):
    mode = "direct"


@pytest.mark.parametrize("backed", [Backed, Direct])
@pytest.mark.parametrize("subject", [s for s in SUBJECTS if s.name in WITH_TABLES], ids=lambda s: s.name)
def test_programs_do_what_the_model_does(subject: Subject, backed: type[Backed], tmp_path: Path) -> None:
    """Verdict, bytes, port, metadata, and all tables at the end."""
    given = backed(**{field.name: getattr(subject, field.name) for field in dataclasses.fields(subject)})
    assert compare(given, tmp_path, 7, FRAMES, ("chain",)) == FRAMES
